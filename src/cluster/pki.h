#pragma once
#include "base/error.h"

/*
 * Keys and certificates as PEM text in, PEM text out (GnuTLS). Which file holds what, and when it
 * is made, is for whoever has the tree. "now" is unix time: certificates are for people's clocks.
 * Source for forms and terms: Proxmox VE documentation, pvecm and certificate management.
 */
#define PKI_CA_BITS 4096
#define PKI_NODE_BITS 2048

#define PKI_DAY_S 86400
#define PKI_CA_DAYS 3650
#define PKI_CA_RENEW_DAYS 730 /* before its end, with the old one trusted beside it */
#define PKI_NODE_DAYS 730
#define PKI_NODE_RENEW_DAYS 30
#define PKI_CA_LEFT_DAYS 14 /* a CA that ends sooner signs nothing */

/** pki_key_new: RSA. Returns: (transfer full): "BEGIN RSA PRIVATE KEY" */
char *pki_key_new(int bits, GError **error);
/** pki_public_key: Returns: (transfer full): "BEGIN PUBLIC KEY"; Q_ERROR_INVALID if @key is none */
char *pki_public_key(const char *key, GError **error);

/** pki_ca_new: a self-signed CA over @key; its OU is a fresh UUID, so that two clusters' CAs
 * differ. */
char *pki_ca_new(const char *key, int64_t now_s, GError **error);

typedef struct {
    const char *node;
    const char *fqdn;             /* (nullable): @node counts */
    const char *const *addresses; /* %NULL-terminated, numeric; all that other nodes may use */
} PkiSubject;

/**
 * pki_cert_new:
 * @ca: one or more certificates; the first signs
 *
 * For server and client use, for @subject's names and addresses, localhost and the loopbacks.
 *
 * Errors: Q_ERROR_INVALID also if the CA ends within 14 days
 */
char *pki_cert_new(const char *ca, const char *ca_key, const char *key, const PkiSubject *subject,
                   int64_t now_s, GError **error);

/** pki_cert_complaint: Returns: (transfer full) (nullable): why @cert should be made anew:
 * unreadable, not of @key, not signed by the first of @ca, near its end, other names or addresses
 */
char *pki_cert_complaint(const char *cert, const char *key, const char *ca,
                         const PkiSubject *subject, int64_t now_s);
/** pki_ca_complaint: the same for a CA: unreadable, not of @key, within two years of its end. */
char *pki_ca_complaint(const char *ca, const char *key, int64_t now_s);

/** pki_fingerprint: Returns: (transfer full): SHA-256 of the first certificate in @pem: "AB:CD:…"
 */
char *pki_fingerprint(const char *pem, GError **error);
/** pki_fingerprint_same: colons and case do not matter. */
bool pki_fingerprint_same(const char *a, const char *b);
