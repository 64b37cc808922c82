#include "cluster/pki.h"
#include <string.h>
#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define SERIAL_BYTES 16
#define CERTS_MAX 8 /* in one file */

typedef struct {
    gnutls_x509_crt_t list[CERTS_MAX];
    unsigned int count;
} Certs;

static void
certs_clear(Certs *certs)
{
    while (certs->count > 0)
        gnutls_x509_crt_deinit(certs->list[--certs->count]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Certs, certs_clear)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_privkey_t, gnutls_x509_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_pubkey_t, gnutls_pubkey_deinit, NULL)

static gnutls_datum_t
datum(const char *text)
{
    return (gnutls_datum_t){ (unsigned char *)text, (unsigned int)strlen(text) };
}

static char *
take_text(gnutls_datum_t *data)
{
    char *text = g_strndup((const char *)data->data, data->size);

    gnutls_free(data->data);
    return text;
}

static gnutls_x509_privkey_t
load_key(const char *pem, GError **error)
{
    gnutls_datum_t data = datum(pem);
    gnutls_x509_privkey_t key;
    int rc;

    gnutls_x509_privkey_init(&key);
    rc = gnutls_x509_privkey_import2(key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc == 0)
        return key;
    gnutls_x509_privkey_deinit(key);
    q_set_error(error, Q_ERROR_INVALID, "no private key: %s", gnutls_strerror(rc));
    return NULL;
}

static bool
load_certs(const char *pem, Certs *certs, GError **error)
{
    gnutls_datum_t data = datum(pem);
    unsigned int count = CERTS_MAX;
    int rc = gnutls_x509_crt_list_import(certs->list, &count, &data, GNUTLS_X509_FMT_PEM, 0);

    if (rc <= 0)
        return q_set_error(error, Q_ERROR_INVALID, "no certificate: %s", gnutls_strerror(rc));
    certs->count = (unsigned int)rc;
    return true;
}

/* ------------------------------------------------------------------ keys */

char *
pki_key_new(int bits, GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = NULL;
    gnutls_datum_t pem;
    int rc;

    gnutls_x509_privkey_init(&key);
    rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, (unsigned int)bits, 0);
    if (rc == 0)
        rc = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem);
    if (rc < 0) {
        q_set_error(error, Q_ERROR_INTERNAL, "making a key failed: %s", gnutls_strerror(rc));
        return NULL;
    }
    return take_text(&pem);
}

char *
pki_public_key(const char *pem, GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = load_key(pem, error);
    g_auto(gnutls_pubkey_t) public = NULL;
    gnutls_datum_t out;
    gnutls_privkey_t private;
    int rc;

    if (key == NULL)
        return NULL;
    gnutls_pubkey_init(&public);
    gnutls_privkey_init(&private);
    rc = gnutls_privkey_import_x509(private, key, 0);
    if (rc == 0)
        rc = gnutls_pubkey_import_privkey(public, private, 0, 0);
    if (rc == 0)
        rc = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, &out);
    gnutls_privkey_deinit(private);
    if (rc < 0) {
        q_set_error(error, Q_ERROR_INVALID, "no public key: %s", gnutls_strerror(rc));
        return NULL;
    }
    return take_text(&out);
}

/* ------------------------------------------------------------------ making certificates */

/* Random serials: no counter to agree on between nodes that sign at the same time. */
static int
begin_cert(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *dn, int64_t from_s,
           int64_t to_s)
{
    unsigned char serial[SERIAL_BYTES], id[64];
    size_t id_size = sizeof id;
    int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);

    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of fixed length */
    if (rc == 0)
        rc = gnutls_x509_crt_set_version(crt, 3);
    if (rc == 0)
        rc = gnutls_x509_crt_set_serial(crt, serial, sizeof serial);
    if (rc == 0)
        rc = gnutls_x509_crt_set_dn(crt, dn, NULL);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key(crt, key);
    if (rc == 0)
        rc = gnutls_x509_crt_set_activation_time(crt, (time_t)from_s);
    if (rc == 0)
        rc = gnutls_x509_crt_set_expiration_time(crt, (time_t)to_s);
    if (rc == 0)
        rc = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA1, id, &id_size);
    if (rc == 0)
        rc = gnutls_x509_crt_set_subject_key_id(crt, id, id_size);
    return rc;
}

static int
name_issuer(gnutls_x509_crt_t crt, gnutls_x509_crt_t ca)
{
    unsigned char id[64];
    size_t id_size = sizeof id;
    int rc = gnutls_x509_crt_get_subject_key_id(ca, id, &id_size, NULL);

    return rc == 0 ? gnutls_x509_crt_set_authority_key_id(crt, id, id_size) : rc;
}

static char *
end_cert(gnutls_x509_crt_t crt, gnutls_x509_crt_t ca, gnutls_x509_privkey_t ca_key, int rc,
         GError **error)
{
    gnutls_datum_t pem;

    if (rc == 0)
        rc = gnutls_x509_crt_sign2(crt, ca, ca_key, GNUTLS_DIG_SHA256, 0);
    if (rc == 0)
        rc = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem);
    if (rc < 0) {
        q_set_error(error, Q_ERROR_INTERNAL, "making a certificate failed: %s",
                    gnutls_strerror(rc));
        return NULL;
    }
    return take_text(&pem);
}

char *
pki_ca_new(const char *key_pem, int64_t now_s, GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = load_key(key_pem, error);
    g_auto(gnutls_x509_crt_t) crt = NULL;
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *dn =
        g_strdup_printf("CN=Quorate Virtual Environment,OU=%s,O=Quorate Cluster CA", uuid);
    int rc;

    if (key == NULL)
        return NULL;
    gnutls_x509_crt_init(&crt);
    rc = begin_cert(crt, key, dn, now_s - PKI_DAY_S, now_s + (int64_t)PKI_CA_DAYS * PKI_DAY_S);
    if (rc == 0)
        rc = gnutls_x509_crt_set_basic_constraints(crt, 1, -1);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    if (rc == 0)
        rc = name_issuer(crt, crt);
    return end_cert(crt, crt, key, rc, error);
}

/* Every name under which the node is spoken to: "DNS:x", "IP:y"; sorted, each once. */
static GPtrArray *
subject_names(const PkiSubject *subject)
{
    static const char *const always[] = { "127.0.0.1", "::1" };
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(all, g_strdup("DNS:localhost"));
    g_ptr_array_add(all, g_strdup_printf("DNS:%s", subject->node));
    if (subject->fqdn != NULL)
        g_ptr_array_add(all, g_strdup_printf("DNS:%s", subject->fqdn));
    for (size_t i = 0; i < G_N_ELEMENTS(always); i++)
        g_ptr_array_add(all, g_strdup_printf("IP:%s", always[i]));
    for (int i = 0; subject->addresses != NULL && subject->addresses[i] != NULL; i++)
        g_ptr_array_add(all, g_strdup_printf("IP:%s", subject->addresses[i]));
    for (guint i = 0; i < all->len; i++)
        if (g_hash_table_add(seen, all->pdata[i]))
            g_ptr_array_add(names, g_strdup(all->pdata[i]));
    return names;
}

/* Numeric address to the 4 or 16 bytes of a certificate; 0 if it is none. */
static size_t
address_bytes(const char *text, unsigned char bytes[16])
{
    if (inet_pton(AF_INET, text, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

static int
set_names(gnutls_x509_crt_t crt, const PkiSubject *subject)
{
    g_autoptr(GPtrArray) names = subject_names(subject);
    int rc = 0;

    for (guint i = 0; i < names->len && rc == 0; i++) {
        const char *name = names->pdata[i];
        unsigned char bytes[16];
        if (g_str_has_prefix(name, "DNS:")) {
            rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name + 4,
                                                      (unsigned int)strlen(name + 4),
                                                      GNUTLS_FSAN_APPEND);
            continue;
        }
        size_t length = address_bytes(name + 3, bytes);
        if (length > 0) /* an address by name is no address: the node's own names are in already */
            rc = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, bytes,
                                                      (unsigned int)length, GNUTLS_FSAN_APPEND);
    }
    return rc;
}

static int
set_node_uses(gnutls_x509_crt_t crt)
{
    int rc = gnutls_x509_crt_set_basic_constraints(crt, 0, -1);

    if (rc == 0)
        rc = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE
                                                    | GNUTLS_KEY_KEY_ENCIPHERMENT);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    return rc;
}

char *
pki_cert_new(const char *ca_pem, const char *ca_key_pem, const char *key_pem,
             const PkiSubject *subject, int64_t now_s, GError **error)
{
    g_auto(Certs) ca = { 0 };
    g_auto(gnutls_x509_privkey_t) ca_key = load_key(ca_key_pem, error);
    g_auto(gnutls_x509_privkey_t) key = ca_key != NULL ? load_key(key_pem, error) : NULL;
    g_auto(gnutls_x509_crt_t) crt = NULL;
    int rc;

    if (key == NULL || !load_certs(ca_pem, &ca, error))
        return NULL;
    int64_t ca_end_s = gnutls_x509_crt_get_expiration_time(ca.list[0]);
    if (ca_end_s < now_s + PKI_CA_LEFT_DAYS * PKI_DAY_S) {
        q_set_error(error, Q_ERROR_INVALID,
                    "the cluster's CA ends in less than %d days; make a new one: pvecm updatecerts",
                    PKI_CA_LEFT_DAYS);
        return NULL;
    }
    g_autofree char *dn =
        g_strdup_printf("CN=%s,OU=Quorate Cluster Node,O=Quorate Virtual Environment",
                        subject->fqdn != NULL ? subject->fqdn : subject->node);
    gnutls_x509_crt_init(&crt);
    rc = begin_cert(crt, key, dn, now_s - PKI_DAY_S,
                    MIN(now_s + (int64_t)PKI_NODE_DAYS * PKI_DAY_S, ca_end_s - 2 * PKI_DAY_S));
    if (rc == 0)
        rc = set_node_uses(crt);
    if (rc == 0)
        rc = set_names(crt, subject);
    if (rc == 0)
        rc = name_issuer(crt, ca.list[0]);
    return end_cert(crt, ca.list[0], ca_key, rc, error);
}

/* ------------------------------------------------------------------ judging certificates */

static bool
is_of_key(gnutls_x509_crt_t crt, const char *key_pem)
{
    g_auto(gnutls_x509_privkey_t) key = load_key(key_pem, NULL);
    unsigned char a[64], b[64];
    size_t a_size = sizeof a, b_size = sizeof b;

    return key != NULL && gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, a, &a_size) == 0
           && gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, b, &b_size) == 0
           && a_size == b_size && memcmp(a, b, a_size) == 0;
}

static bool
is_signed_by(gnutls_x509_crt_t crt, gnutls_x509_crt_t ca)
{
    unsigned int verdict = 0;
    int rc = gnutls_x509_crt_verify(
        crt, &ca, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS | GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS,
        &verdict);

    return rc == 0 && verdict == 0;
}

/* The names in a certificate, in subject_names()'s words. */
static GHashTable *
cert_names(gnutls_x509_crt_t crt)
{
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (unsigned int i = 0;; i++) {
        char value[256], text[INET6_ADDRSTRLEN];
        size_t size = sizeof value - 1;
        int kind = gnutls_x509_crt_get_subject_alt_name(crt, i, value, &size, NULL);
        if (kind == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return names;
        if (kind == GNUTLS_SAN_DNSNAME)
            g_hash_table_add(names, g_strdup_printf("DNS:%.*s", (int)size, value));
        else if (kind == GNUTLS_SAN_IPADDRESS
                 && inet_ntop(size == 4 ? AF_INET : AF_INET6, value, text, sizeof text) != NULL)
            g_hash_table_add(names, g_strdup_printf("IP:%s", text));
        else if (kind < 0 && kind != GNUTLS_E_SHORT_MEMORY_BUFFER)
            return names;
    }
}

static char *
names_complaint(gnutls_x509_crt_t crt, const PkiSubject *subject)
{
    g_autoptr(GHashTable) present = cert_names(crt);
    g_autoptr(GPtrArray) wanted = subject_names(subject);
    guint count = 0;

    for (guint i = 0; i < wanted->len; i++) {
        const char *name = wanted->pdata[i];
        unsigned char bytes[16];
        char text[INET6_ADDRSTRLEN];
        g_autofree char *canonical = NULL;
        if (g_str_has_prefix(name, "IP:")) {
            size_t length = address_bytes(name + 3, bytes);
            if (length == 0)
                continue;
            inet_ntop(length == 4 ? AF_INET : AF_INET6, bytes, text, sizeof text);
            name = canonical = g_strdup_printf("IP:%s", text);
        }
        if (!g_hash_table_contains(present, name))
            return g_strdup_printf("%s is not in it", name);
        count++;
    }
    return count < g_hash_table_size(present)
               ? g_strdup("it names addresses that are not ours any more")
               : NULL;
}

char *
pki_cert_complaint(const char *cert_pem, const char *key_pem, const char *ca_pem,
                   const PkiSubject *subject, int64_t now_s)
{
    g_auto(Certs) cert = { 0 };
    g_auto(Certs) ca = { 0 };
    g_autoptr(GError) error = NULL;

    if (!load_certs(cert_pem, &cert, &error) || !load_certs(ca_pem, &ca, &error))
        return g_strdup(error->message);
    if (!is_of_key(cert.list[0], key_pem))
        return g_strdup("it does not belong to the key");
    if (!is_signed_by(cert.list[0], ca.list[0]))
        return g_strdup("it is not signed by the cluster's CA");
    if (gnutls_x509_crt_get_expiration_time(cert.list[0]) < now_s + PKI_NODE_RENEW_DAYS * PKI_DAY_S)
        return g_strdup("it ends within 30 days");
    if (gnutls_x509_crt_get_activation_time(cert.list[0]) > now_s)
        return g_strdup("it is not valid yet");
    return names_complaint(cert.list[0], subject);
}

char *
pki_ca_complaint(const char *ca_pem, const char *key_pem, int64_t now_s)
{
    g_auto(Certs) ca = { 0 };
    g_autoptr(GError) error = NULL;

    if (!load_certs(ca_pem, &ca, &error))
        return g_strdup(error->message);
    if (!is_of_key(ca.list[0], key_pem))
        return g_strdup("it does not belong to its key");
    if (gnutls_x509_crt_get_expiration_time(ca.list[0])
        < now_s + (int64_t)PKI_CA_RENEW_DAYS * PKI_DAY_S)
        return g_strdup("it ends within two years");
    return NULL;
}

char *
pki_fingerprint(const char *pem, GError **error)
{
    g_auto(Certs) certs = { 0 };
    unsigned char hash[32];
    size_t size = sizeof hash;

    if (!load_certs(pem, &certs, error))
        return NULL;
    int rc = gnutls_x509_crt_get_fingerprint(certs.list[0], GNUTLS_DIG_SHA256, hash, &size);
    if (rc < 0) {
        q_set_error(error, Q_ERROR_INTERNAL, "no fingerprint: %s", gnutls_strerror(rc));
        return NULL;
    }
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < size; i++)
        g_string_append_printf(text, "%s%02X", i > 0 ? ":" : "", hash[i]);
    return g_string_free(text, FALSE);
}

bool
pki_fingerprint_same(const char *a, const char *b)
{
    int digits = 0;

    for (;; a++, b++) {
        while (*a == ':')
            a++;
        while (*b == ':')
            b++;
        if (*a == '\0' || *b == '\0')
            return *a == *b && digits == 64;
        if (g_ascii_toupper(*a) != g_ascii_toupper(*b) || !g_ascii_isxdigit(*a))
            return false;
        digits++;
    }
}
