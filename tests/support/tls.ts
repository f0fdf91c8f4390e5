/**
 * A certificate for `localhost` and 127.0.0.1 that signs itself, and its key: for tests only, known
 * to everybody, valid from 2020 to 2120.
 *
 * @module
 */

/** The certificate, which is also the one that clients have to trust. */
export const TEST_CERT = `-----BEGIN CERTIFICATE-----
MIIBVzCB/qADAgECAhRFkx78LgfnGtYCdEpBZVaxX06hwzAKBggqhkjOPQQDAjAU
MRIwEAYDVQQDDAlsb2NhbGhvc3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEw
MDAwMDBaMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49
AwEHA0IABBuUjlHe7tQNBiMLFRp9Npaf8VxILYQ+7YUMpQpHctqjL7E61nJhkeYE
A98ICMssgraj41kcpm0/e7hcYVtrSVWjLDAqMBoGA1UdEQQTMBGCCWxvY2FsaG9z
dIcEfwAAATAMBgNVHRMBAf8EAjAAMAoGCCqGSM49BAMCA0gAMEUCIQDd4PslJw2M
tR/FtyHDQ1ItTmroCoMf5+uom8EzR3aSuAIgLYxE+6qtCA9y0cw/6CPKdhJoB+w0
VjyOG5G9UadcxOM=
-----END CERTIFICATE-----
`;

/** Its private key. */
export const TEST_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTVOY5HAO7UD8Brxb
VURzYYzjQawKwtcECsGiP6aPR6mhRANCAAQblI5R3u7UDQYjCxUafTaWn/FcSC2E
Pu2FDKUKR3Laoy+xOtZyYZHmBAPfCAjLLIK2o+NZHKZtP3u4XGFba0lV
-----END PRIVATE KEY-----
`;
