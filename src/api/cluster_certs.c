#include "api/cluster_certs.h"
#include <string.h>
#include "api/cluster_tree.h"
#include "cluster/host_address.h"
#include "cluster/pki.h"
#include "sys/clock.h"

#define CA_CERT "pve-root-ca.pem"
#define CA_KEY "priv/pve-root-ca.key"
#define TICKET_KEY "priv/authkey.key"
#define TICKET_PUBLIC "authkey.pub"
#define WWW_KEY "pve-www.key"

enum { TRIES = 5 };

typedef struct {
    CfsClient *cfs;
    const char *node;
    const ClusterCertsOptions *options;
} Certs;

static void say(const Certs *certs, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
say(const Certs *certs, const char *format, ...)
{
    va_list args;

    if (certs->options->say == NULL)
        return;
    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    certs->options->say(line, certs->options->data);
}

/* A commit that lost a race is no failure: the next look sees what the other made. */
static bool
commit(const Certs *certs, CfsTxn *txn, bool *lost, GError **error)
{
    g_autoptr(GError) why = NULL;

    *lost = false;
    if (cfs_txn_commit(certs->cfs, txn, NULL, &why))
        return true;
    *lost = g_error_matches(why, Q_ERROR, Q_ERROR_CONFLICT)
            || g_error_matches(why, Q_ERROR, Q_ERROR_EXISTS);
    if (*lost)
        return true;
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

static bool
ensure_dirs(const Certs *certs, bool *again, GError **error)
{
    static const char *const subjects[] = { "qemu-server", "lxc", "priv" };
    g_autofree char *own = g_strdup_printf("nodes/%s", certs->node);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    bool any = false;

    g_ptr_array_add(paths, g_strdup("priv"));
    g_ptr_array_add(paths, g_strdup("nodes"));
    g_ptr_array_add(paths, g_steal_pointer(&own));
    for (size_t i = 0; i < G_N_ELEMENTS(subjects); i++)
        g_ptr_array_add(paths, g_strdup_printf("nodes/%s/%s", certs->node, subjects[i]));
    g_autoptr(CfsTxn) txn = cfs_txn_new();
    for (guint i = 0; i < paths->len; i++) {
        bool there;
        if (!cluster_tree_has(certs->cfs, paths->pdata[i], &there, error))
            return false;
        if (there)
            continue;
        cfs_txn_mkdir(txn, paths->pdata[i]);
        any = true;
    }
    return !any || commit(certs, g_steal_pointer(&txn), again, error);
}

/* ------------------------------------------------------------------ the CA */

/* A new CA signs from now on; the one before it stays trusted, for the other nodes' certificates.
 */
static bool
ensure_ca(const Certs *certs, bool *again, GError **error)
{
    uint64_t cert_version, key_version;
    g_autoptr(GError) lost = NULL;
    g_autofree char *cert = cluster_tree_text(certs->cfs, CA_CERT, &cert_version, &lost);
    g_autofree char *key =
        lost == NULL ? cluster_tree_text(certs->cfs, CA_KEY, &key_version, &lost) : NULL;
    g_autofree char *why = NULL;

    if (lost != NULL) {
        g_propagate_error(error, g_steal_pointer(&lost));
        return false;
    }
    if (cert != NULL && key != NULL) {
        why = pki_ca_complaint(cert, key, q_clock_wall_s());
        if (why == NULL)
            return true;
    }
    g_autofree char *new_key = pki_key_new(PKI_CA_BITS, error);
    g_autofree char *new_cert =
        new_key != NULL ? pki_ca_new(new_key, q_clock_wall_s(), error) : NULL;
    if (new_cert == NULL)
        return false;
    /* A third generation would only trust what has long been replaced. */
    const char *second = cert != NULL ? strstr(cert + 1, "-----BEGIN CERTIFICATE-----") : NULL;
    g_autofree char *old = cert == NULL     ? g_strdup("")
                           : second != NULL ? g_strndup(cert, second - cert)
                                            : g_strdup(cert);
    g_autofree char *both = g_strconcat(new_cert, old, NULL);
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_if_version(txn, CA_CERT, cert_version);
    cfs_txn_if_version(txn, CA_KEY, key_version);
    cfs_txn_write(txn, CA_KEY, new_key);
    cfs_txn_write(txn, CA_CERT, both);
    if (!commit(certs, txn, again, error))
        return false;
    if (!*again && why != NULL)
        say(certs, "made a new cluster CA, the old one is trusted beside it: %s", why);
    else if (!*again)
        say(certs, "made the cluster's CA");
    return true;
}

/* ------------------------------------------------------------------ keys */

static bool
ensure_ticket_keys(const Certs *certs, bool *again, GError **error)
{
    bool has_key, has_public;

    if (!cluster_tree_has(certs->cfs, TICKET_KEY, &has_key, error)
        || !cluster_tree_has(certs->cfs, TICKET_PUBLIC, &has_public, error))
        return false;
    if (has_key && has_public)
        return true;
    g_autofree char *key = has_key ? cfs_read(certs->cfs, TICKET_KEY, NULL, NULL, error)
                                   : pki_key_new(PKI_NODE_BITS, error);
    g_autofree char *public = key != NULL ? pki_public_key(key, error) : NULL;
    if (public == NULL)
        return false;
    CfsTxn *txn = cfs_txn_new();
    if (!has_key) {
        cfs_txn_if_version(txn, TICKET_KEY, CFS_ABSENT);
        cfs_txn_create(txn, TICKET_KEY, key);
        cfs_txn_write(txn, TICKET_PUBLIC, public);
    } else {
        cfs_txn_create(txn, TICKET_PUBLIC, public);
    }
    return commit(certs, txn, again, error);
}

static bool
ensure_www_key(const Certs *certs, bool *again, GError **error)
{
    bool there;

    if (!cluster_tree_has(certs->cfs, WWW_KEY, &there, error))
        return false;
    if (there)
        return true;
    g_autofree char *key = pki_key_new(PKI_NODE_BITS, error);
    if (key == NULL)
        return false;
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_create(txn, WWW_KEY, key);
    return commit(certs, txn, again, error);
}

/* ------------------------------------------------------------------ the node's certificate */

/* By which addresses others speak to us: our links, and what our name means. Without either, all.
 */
static char **
node_addresses(const Certs *certs)
{
    g_autoptr(CorosyncConf) conf = cluster_tree_conf(certs->cfs, NULL, NULL);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autofree char *own = host_address_of(certs->node, NULL);
    CorosyncNode node;
    bool any = own != NULL;

    if (own != NULL)
        g_strv_builder_add(builder, own);
    if (conf != NULL && corosync_conf_node(conf, certs->node, &node))
        for (int i = 0; i < COROSYNC_LINKS; i++)
            if (node.addr[i] != NULL) {
                g_strv_builder_add(builder, node.addr[i]);
                any = true;
            }
    if (!any)
        return host_addresses();
    return g_strv_builder_end(builder);
}

static bool
ensure_node_cert(const Certs *certs, bool *again, GError **error)
{
    g_autofree char *cert_path = g_strdup_printf("nodes/%s/pve-ssl.pem", certs->node);
    g_autofree char *key_path = g_strdup_printf("nodes/%s/pve-ssl.key", certs->node);
    uint64_t cert_version, key_version;
    g_autoptr(GError) lost = NULL;
    g_autofree char *ca = cfs_read(certs->cfs, CA_CERT, NULL, NULL, error);
    g_autofree char *ca_key = ca != NULL ? cfs_read(certs->cfs, CA_KEY, NULL, NULL, error) : NULL;
    g_autofree char *cert = cluster_tree_text(certs->cfs, cert_path, &cert_version, &lost);
    g_autofree char *key =
        lost == NULL ? cluster_tree_text(certs->cfs, key_path, &key_version, &lost) : NULL;
    g_autofree char *fqdn = host_fqdn(certs->node);
    g_auto(GStrv) addresses = node_addresses(certs);
    const PkiSubject subject = { certs->node, fqdn, (const char *const *)addresses };
    g_autofree char *why = NULL;

    if (ca_key == NULL)
        return false;
    if (lost != NULL) {
        g_propagate_error(error, g_steal_pointer(&lost));
        return false;
    }
    if (cert != NULL && key != NULL) {
        why = pki_cert_complaint(cert, key, ca, &subject, q_clock_wall_s());
        if (why == NULL && !certs->options->force)
            return true;
    }
    g_autofree char *new_key = g_strdup(key);
    g_autofree char *probe = key != NULL ? pki_public_key(key, NULL) : NULL;
    if (probe == NULL) {
        g_free(new_key);
        new_key = pki_key_new(PKI_NODE_BITS, error);
    }
    g_autofree char *new_cert =
        new_key != NULL ? pki_cert_new(ca, ca_key, new_key, &subject, q_clock_wall_s(), error)
                        : NULL;
    if (new_cert == NULL)
        return false;
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_if_version(txn, cert_path, cert_version);
    cfs_txn_if_version(txn, key_path, key_version);
    if (probe == NULL)
        cfs_txn_write(txn, key_path, new_key);
    cfs_txn_write(txn, cert_path, new_cert);
    if (!commit(certs, txn, again, error))
        return false;
    if (!*again)
        say(certs, "generated new node certificate%s%s", why != NULL ? ": " : "",
            why != NULL ? why : "");
    return true;
}

bool
cluster_certs_ensure(CfsClient *cfs, const char *node, const ClusterCertsOptions *options,
                     GError **error)
{
    static bool (*const steps[])(const Certs *, bool *,
                                 GError **) = { ensure_dirs, ensure_ca, ensure_ticket_keys,
                                                ensure_www_key, ensure_node_cert };
    static const ClusterCertsOptions none = { 0 };
    Certs certs = { cfs, node, options != NULL ? options : &none };

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        bool again = true;
        for (int try = 0; try < TRIES && again; try++) {
            again = false;
            if (!steps[i](&certs, &again, error))
                return q_prefix_error(error, "keys and certificates: ");
        }
        if (again)
            return q_set_error(error, Q_ERROR_BUSY,
                               "keys and certificates: others change them; try again");
    }
    return true;
}

char *
cluster_certs_fingerprint(CfsClient *cfs, const char *node, GError **error)
{
    g_autofree char *own = g_strdup_printf("nodes/%s/pveproxy-ssl.pem", node);
    g_autofree char *ours = g_strdup_printf("nodes/%s/pve-ssl.pem", node);
    g_autofree char *pem = cfs_read(cfs, own, NULL, NULL, NULL);

    if (pem == NULL)
        pem = cfs_read(cfs, ours, NULL, NULL, error);
    return pem != NULL ? pki_fingerprint(pem, error) : NULL;
}
