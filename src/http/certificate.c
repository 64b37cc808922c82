#include "http/certificate.h"
#include <string.h>
#include "cluster/pki.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"

#define MACHINE_FILE Q_STATE_DIR "/proxy-ssl.pem" /* key and certificate */
#define CA_FILE Q_PVE_DIR "/pve-root-ca.pem"

enum { PEM_MAX_BYTES = 256 * 1024 };

static GTlsCertificate *
from_pem(const char *pem, const char *what, GError **error)
{
    g_autoptr(GError) cause = NULL;
    GTlsCertificate *certificate = g_tls_certificate_new_from_pem(pem, -1, &cause);

    if (certificate == NULL) {
        q_set_error(error, Q_ERROR_INVALID, "%s: %s", what, cause->message);
    }
    return certificate;
}

static char *
read_pair(const char *node, const char *name, GError **error)
{
    g_autofree char *cert_path = g_strdup_printf("%s/nodes/%s/%s.pem", Q_PVE_DIR, node, name);
    g_autofree char *key_path = g_strdup_printf("%s/nodes/%s/%s.key", Q_PVE_DIR, node, name);
    g_autofree char *cert = q_file_read(cert_path, PEM_MAX_BYTES, NULL, error);
    g_autofree char *key = cert != NULL ? q_file_read(key_path, PEM_MAX_BYTES, NULL, error) : NULL;

    return key != NULL ? g_strdup_printf("%s\n%s", key, cert) : NULL;
}

GTlsCertificate *
http_certificate_of_node(const char *node, GError **error)
{
    g_autofree char *own = read_pair(node, "pveproxy-ssl", NULL);
    g_autofree char *pem = own != NULL ? g_steal_pointer(&own) : read_pair(node, "pve-ssl", error);

    return pem != NULL ? from_pem(pem, "this node's certificate", error) : NULL;
}

static char *
make_machine_pem(const char *node, GError **error)
{
    static const char *const addresses[] = { NULL };
    PkiSubject subject = { .node = node, .addresses = addresses };
    int64_t now_s = q_clock_wall_s();
    g_autofree char *ca_key = pki_key_new(PKI_NODE_BITS, error);
    g_autofree char *ca = ca_key != NULL ? pki_ca_new(ca_key, now_s, error) : NULL;
    g_autofree char *key = ca != NULL ? pki_key_new(PKI_NODE_BITS, error) : NULL;
    g_autofree char *cert =
        key != NULL ? pki_cert_new(ca, ca_key, key, &subject, now_s, error) : NULL;

    return cert != NULL ? g_strdup_printf("%s\n%s", key, cert) : NULL;
}

GTlsCertificate *
http_certificate_of_machine(const char *node, GError **error)
{
    g_autofree char *pem = q_file_read(MACHINE_FILE, PEM_MAX_BYTES, NULL, NULL);
    GTlsCertificate *certificate = pem != NULL ? from_pem(pem, MACHINE_FILE, NULL) : NULL;

    if (certificate != NULL) {
        return certificate;
    }
    g_autofree char *fresh = make_machine_pem(node, error);
    if (fresh == NULL || !q_file_make_dir(Q_STATE_DIR, 0755, error)
        || !q_file_write_atomic(MACHINE_FILE, fresh, strlen(fresh), 0600, error)) {
        return NULL;
    }
    return from_pem(fresh, MACHINE_FILE, error);
}

bool
http_certificate_is_member(GTlsCertificate *certificate, const char *node)
{
    g_autofree char *pem = q_file_read(CA_FILE, PEM_MAX_BYTES, NULL, NULL);
    GList *authorities = pem != NULL ? g_tls_certificate_list_new_from_file(CA_FILE, NULL) : NULL;
    g_autoptr(GSocketConnectable) identity = node != NULL ? g_network_address_new(node, 0) : NULL;
    bool member = false;

    /* While a CA is being renewed there are two. */
    for (GList *item = authorities; item != NULL; item = item->next) {
        member = member || g_tls_certificate_verify(certificate, identity, item->data) == 0;
    }
    g_list_free_full(authorities, g_object_unref);
    return member;
}
