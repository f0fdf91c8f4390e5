/**
 * An open listener of the master, as the table of listeners and the workers know it.
 *
 * @module
 */
import type { Admission } from "../../os/net/connect_permission.ts";
import type { FdType } from "../../os/net/socket.ts";
import type { OpenedListener } from "../../os/net/open_listener.ts";

/**
 * Who decides about a listener. `activation`: the process that started this one with it. `other-master`:
 * the old master until the takeover; after it, for the old master, the new one.
 */
export type ListenerOwner = "self" | "activation" | "other-master";

/** An open listening socket or named pipe of the master. */
export interface Listener extends OpenedListener {
  readonly kind: FdType;
  /** The key of the `Endpoint` that it serves; of an unused one, of the address that it is bound to. */
  readonly key: string;
  owner: ListenerOwner;
  /** Whether processes that are unknown to this master may hold it. */
  isShared?: boolean;
  /** Whether clients of a unix socket may send descriptors, since its service may take them. */
  takesDescriptors?: boolean;
  /** Its intended filter and options, if another process has opened it; without it the defaults. */
  readonly admission?: Admission;
  /** The name from its activator, if it has one. */
  readonly name?: string;
  /** The key of the IPv4 address, if an activated IPv6 socket accepts IPv4 connections too. */
  readonly ipv4Key?: string;
}

/** A listener that this process has opened itself. */
export function ownListener(
  { kind, key }: Pick<Listener, "kind" | "key">,
  opened: OpenedListener,
  { takesDescriptors }: Pick<Listener, "takesDescriptors"> = {},
): Listener {
  return { ...opened, kind, key, owner: "self", ...(takesDescriptors && { takesDescriptors }) };
}
