#include "cluster/pki.h"
#include <string.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define NOW 1790000000

static const char *const addresses[] = { "10.0.0.1", "fd00:0:0::1", "not-an-address", NULL };
static const PkiSubject subject = { "n1", "n1.example.org", addresses };

/* Keys take a while to make: the tests share them. */
static char *ca_key, *node_key, *ca;

static void
setup(void)
{
    g_autoptr(GError) error = NULL;

    ca_key = pki_key_new(PKI_CA_BITS, &error);
    g_assert_no_error(error);
    node_key = pki_key_new(PKI_NODE_BITS, &error);
    ca = pki_ca_new(ca_key, NOW, &error);
    g_assert_no_error(error);
}

static char *
make(const char *authority, const PkiSubject *who, int64_t now_s)
{
    g_autoptr(GError) error = NULL;
    char *cert = pki_cert_new(authority, ca_key, node_key, who, now_s, &error);

    g_assert_no_error(error);
    return cert;
}

static void
test_keys(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *public = pki_public_key(node_key, &error);

    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(node_key, "-----BEGIN RSA PRIVATE KEY-----\n"));
    g_assert_true(g_str_has_prefix(public, "-----BEGIN PUBLIC KEY-----\n"));
    g_assert_null(pki_public_key("nothing", &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
}

/* What a TLS peer would check, by the library that it would use. */
static unsigned int
verdict(const char *cert_pem, const char *name, const char *purpose)
{
    gnutls_datum_t cert_data = { (unsigned char *)cert_pem, strlen(cert_pem) };
    gnutls_datum_t ca_data = { (unsigned char *)ca, strlen(ca) };
    gnutls_typed_vdata_st data[] = { { GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)name,
                                       strlen(name) },
                                     { GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)purpose, 0 } };
    gnutls_x509_trust_list_t list;
    gnutls_x509_crt_t cert;
    unsigned int status = ~0u;

    gnutls_x509_trust_list_init(&list, 0);
    gnutls_x509_trust_list_add_trust_mem(list, &ca_data, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
    gnutls_x509_crt_init(&cert);
    g_assert_cmpint(gnutls_x509_crt_import(cert, &cert_data, GNUTLS_X509_FMT_PEM), ==, 0);
    gnutls_x509_trust_list_verify_crt2(list, &cert, 1, data, 2,
                                       GNUTLS_VERIFY_DISABLE_TIME_CHECKS
                                           | GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS,
                                       &status, NULL);
    gnutls_x509_crt_deinit(cert);
    gnutls_x509_trust_list_deinit(list, 1);
    return status;
}

static void
test_cert(void)
{
    static const char *const names[] = { "n1",  "n1.example.org", "localhost", "127.0.0.1",
                                         "::1", "10.0.0.1",       "fd00::1" };
    g_autofree char *cert = make(ca, &subject, NOW);

    g_assert_null(pki_cert_complaint(cert, node_key, ca, &subject, NOW));
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_test_message("%s", names[i]);
        g_assert_cmpuint(verdict(cert, names[i], GNUTLS_KP_TLS_WWW_SERVER), ==, 0);
        g_assert_cmpuint(verdict(cert, names[i], GNUTLS_KP_TLS_WWW_CLIENT), ==, 0);
    }
    g_assert_cmpuint(verdict(cert, "n2", GNUTLS_KP_TLS_WWW_SERVER), !=, 0);
    g_assert_cmpuint(verdict(cert, "10.0.0.2", GNUTLS_KP_TLS_WWW_SERVER), !=, 0);
    g_assert_cmpuint(verdict(cert, "n1", GNUTLS_KP_EMAIL_PROTECTION), !=, 0);
}

static void
complains(const char *cert, const char *key, const char *authority, const PkiSubject *who,
          int64_t now_s, const char *expected)
{
    g_autofree char *why = pki_cert_complaint(cert, key, authority, who, now_s);

    g_assert_cmpstr(why, ==, expected);
}

static void
test_complaints(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *cert = make(ca, &subject, NOW);
    g_autofree char *other_ca = pki_ca_new(node_key, NOW, &error);
    g_autofree char *both = g_strconcat(other_ca, ca, NULL);
    const int64_t end = NOW + (int64_t)PKI_NODE_DAYS * PKI_DAY_S;
    const char *const moved[] = { "10.0.0.2", "fd00::1", NULL };
    const char *const fewer[] = { "10.0.0.1", NULL };

    complains("x", node_key, ca, &subject, NOW, "no certificate: No certificate was found.");
    complains(cert, ca_key, ca, &subject, NOW, "it does not belong to the key");
    complains(cert, node_key, other_ca, &subject, NOW, "it is not signed by the cluster's CA");
    /* After a change of the CA the old one is trusted, but the first one signs. */
    complains(cert, node_key, both, &subject, NOW, "it is not signed by the cluster's CA");
    complains(cert, node_key, ca, &subject, end - 31 * PKI_DAY_S, NULL);
    complains(cert, node_key, ca, &subject, end - 29 * PKI_DAY_S, "it ends within 30 days");
    complains(cert, node_key, ca, &subject, NOW - 366 * PKI_DAY_S, "it is not valid yet");
    complains(cert, node_key, ca, &(PkiSubject){ "n1", "n1.example.org", moved }, NOW,
              "IP:10.0.0.2 is not in it");
    complains(cert, node_key, ca, &(PkiSubject){ "n1", "n1.example.org", fewer }, NOW,
              "it names addresses that are not ours any more");
    complains(cert, node_key, ca, &(PkiSubject){ "n2", NULL, addresses }, NOW,
              "DNS:n2 is not in it");
}

static void
test_ca_end(void)
{
    const int64_t end = NOW + (int64_t)PKI_CA_DAYS * PKI_DAY_S;
    g_autoptr(GError) error = NULL;
    g_autofree char *late = make(ca, &subject, end - 100 * PKI_DAY_S);
    g_autofree char *why = pki_ca_complaint(ca, ca_key, end - 731 * PKI_DAY_S);
    g_autofree char *late_why = pki_ca_complaint(ca, ca_key, end - 729 * PKI_DAY_S);
    g_autofree char *key_why = pki_ca_complaint(ca, node_key, NOW);
    gnutls_x509_crt_t cert;
    gnutls_datum_t data = { (unsigned char *)late, strlen(late) };

    g_assert_null(why);
    g_assert_cmpstr(late_why, ==, "it ends within two years");
    g_assert_cmpstr(key_why, ==, "it does not belong to its key");
    gnutls_x509_crt_init(&cert);
    gnutls_x509_crt_import(cert, &data, GNUTLS_X509_FMT_PEM);
    g_assert_cmpint(gnutls_x509_crt_get_expiration_time(cert), ==, end - 2 * PKI_DAY_S);
    gnutls_x509_crt_deinit(cert);
    g_assert_null(pki_cert_new(ca, ca_key, node_key, &subject, end - 13 * PKI_DAY_S, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
}

static void
test_fingerprint(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *print = pki_fingerprint(ca, &error);
    g_autofree char *lower = g_ascii_strdown(print, -1);
    g_auto(GStrv) parts = g_strsplit(lower, ":", -1);
    g_autofree char *bare = g_strjoinv("", parts);

    g_assert_no_error(error);
    g_assert_cmpuint(strlen(print), ==, 95);
    g_assert_true(pki_fingerprint_same(print, lower));
    g_assert_true(pki_fingerprint_same(print, bare));
    g_assert_false(pki_fingerprint_same(print, ""));
    g_assert_false(pki_fingerprint_same("", ""));
    g_assert_false(pki_fingerprint_same("AB", "AB"));
    bare[63] = bare[63] == '0' ? '1' : '0';
    g_assert_false(pki_fingerprint_same(print, bare));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    setup();
    g_test_add_func("/cluster/pki/keys", test_keys);
    g_test_add_func("/cluster/pki/cert", test_cert);
    g_test_add_func("/cluster/pki/complaints", test_complaints);
    g_test_add_func("/cluster/pki/ca-end", test_ca_end);
    g_test_add_func("/cluster/pki/fingerprint", test_fingerprint);
    int status = g_test_run();
    g_free(ca_key);
    g_free(node_key);
    g_free(ca);
    return status;
}
