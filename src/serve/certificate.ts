/**
 * The certificate of a service, which a server that changes its user or its root reads before that.
 *
 * @module
 */
import { defaultConfig } from "../config/config.ts";
import { isAnySet } from "../config/effective.ts";
import { ConfigError } from "../config/errors.ts";
import { PRIVILEGE_SETTINGS } from "../config/settings.ts";
import { TlsContext, tlsOfSettings, type TlsOptions } from "../server/common.ts";

/** The certificate of a service: options, a context, or true for the files that the settings name. */
export type ServiceTls = true | TlsOptions | TlsContext;

/** A certificate that is read late, or early where it can't be read later. */
export class ServiceCertificate {
  readonly #tls: ServiceTls;
  #early: TlsContext | undefined;

  constructor(tls: ServiceTls) {
    this.#tls = tls;
  }

  /** Reads it, if the server is to change its user or its root. Only to be called when the settings have been read. */
  prepare(): void {
    if (!isAnySet(defaultConfig, PRIVILEGE_SETTINGS)) return;
    try {
      this.#early = this.#read();
    } catch (error) {
      // A service without an address needs none, and one with an address says what is wrong.
      if (!(error instanceof ConfigError)) throw error;
    }
  }

  /** Returns it. */
  context(): TlsContext {
    return this.#early ?? this.#read();
  }

  #read(): TlsContext {
    return TlsContext.of(this.#tls === true ? tlsOfSettings() : this.#tls);
  }
}
