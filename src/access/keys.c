#include "access/keys.h"
#include <gnutls/abstract.h>
#include <string.h>
#include <sys/stat.h>
#include "cluster/pki.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"

#define KEY_FILE "priv/authkey.key"
#define PUBLIC_FILE "authkey.pub"
#define OLD_FILE "authkey.pub.old"
#define WWW_KEY_FILE Q_PVE_DIR "/pve-www.key"

enum { KEY_MAX_BYTES = 64 * 1024, KEY_BITS = 2048, KEY_AGE_S = 24 * 3600, AHEAD_S = 300 };

static gnutls_datum_t
datum(const char *text)
{
    return (gnutls_datum_t){ .data = (unsigned char *)text, .size = (unsigned)strlen(text) };
}

char *
keys_sign(const char *private_pem, const char *text, GError **error)
{
    gnutls_datum_t pem = datum(private_pem), data = datum(text), signature = { 0 };
    gnutls_privkey_t key;
    char *encoded = NULL;

    gnutls_privkey_init(&key);
    int code = gnutls_privkey_import_x509_raw(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code == 0) {
        code = gnutls_privkey_sign_data2(key, GNUTLS_SIGN_RSA_SHA256, 0, &data, &signature);
    }
    if (code == 0) {
        encoded = g_base64_encode(signature.data, signature.size);
        gnutls_free(signature.data);
    } else {
        q_set_error(error, Q_ERROR_INTERNAL, "cannot sign a ticket: %s", gnutls_strerror(code));
    }
    gnutls_privkey_deinit(key);
    return encoded;
}

bool
keys_verify(const char *public_pem, const char *text, const char *encoded)
{
    gnutls_datum_t pem = datum(public_pem), data = datum(text);
    gsize length;
    g_autofree guchar *raw = g_base64_decode(encoded, &length);
    gnutls_datum_t signature = { .data = raw, .size = (unsigned)length };
    gnutls_pubkey_t key;

    gnutls_pubkey_init(&key);
    bool good =
        length > 0 && gnutls_pubkey_import(key, &pem, GNUTLS_X509_FMT_PEM) == 0
        && gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_RSA_SHA256, 0, &data, &signature) >= 0;
    gnutls_pubkey_deinit(key);
    return good;
}

char *
keys_ticket(const char *kind, const char *data, const char *aad, GError **error)
{
    g_autofree char *pem = q_file_read(Q_PVE_DIR "/" KEY_FILE, KEY_MAX_BYTES, NULL, error);

    if (pem == NULL) {
        q_prefix_error(error,
                       "no key to sign tickets with (has the cluster filesystem been set up?): ");
        if (error != NULL) {
            q_error_set_http_status(*error, 500);
        }
        return NULL;
    }
    g_autofree char *plain = ticket_plain(kind, data, q_clock_wall_s());
    g_autofree char *text = ticket_signed_text(plain, aad);
    g_autofree char *signature = keys_sign(pem, text, error);
    return signature != NULL ? g_strdup_printf("%s::%s", plain, signature) : NULL;
}

/* By the present key; by the one before only what was made before the present one was. */
static bool
signature_is_good(const Ticket *ticket, const char *text, bool old_key_too)
{
    g_autofree char *now = q_file_read(Q_PVE_DIR "/" PUBLIC_FILE, KEY_MAX_BYTES, NULL, NULL);
    struct stat info;

    if (now != NULL && keys_verify(now, text, ticket->signature)) {
        return true;
    }
    if (!old_key_too || stat(Q_PVE_DIR "/" PUBLIC_FILE, &info) != 0
        || ticket->made_at_s > info.st_mtime + AHEAD_S) {
        return false;
    }
    g_autofree char *old = q_file_read(Q_PVE_DIR "/" OLD_FILE, KEY_MAX_BYTES, NULL, NULL);
    return old != NULL && keys_verify(old, text, ticket->signature);
}

bool
keys_ticket_check(const char *text, const char *kind, const char *aad, char **data, GError **error)
{
    g_autoptr(Ticket) ticket = ticket_parse(text, NULL);
    g_autofree char *signed_text = ticket != NULL ? ticket_signed_text(ticket->plain, aad) : NULL;

    if (ticket == NULL || strcmp(ticket->kind, kind) != 0
        || !ticket_age_is_good(kind, ticket->made_at_s, q_clock_wall_s())
        || !signature_is_good(ticket, signed_text, strcmp(kind, "PVEVNC") != 0)) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "permission denied - invalid %s ticket",
                           kind);
    }
    *data = g_strdup(ticket->data);
    return true;
}

/* ------------------------------------------------------------------ rotation */

static bool
is_due(void)
{
    struct stat info;

    if (stat(Q_PVE_DIR "/" PUBLIC_FILE, &info) != 0) {
        return false; /* the first one is made with the cluster's other keys */
    }
    int64_t age_s = q_clock_wall_s() - info.st_mtime;
    return age_s >= KEY_AGE_S || age_s < -AHEAD_S;
}

bool
keys_rotate(CfsClient *cfs, GError **error)
{
    uint64_t version;

    if (!is_due() || !cfs_quorate(cfs, NULL)) {
        return false;
    }
    g_autofree char *old = cfs_read(cfs, PUBLIC_FILE, &version, NULL, error);
    g_autofree char *key = old != NULL ? pki_key_new(KEY_BITS, error) : NULL;
    g_autofree char *public_key = key != NULL ? pki_public_key(key, error) : NULL;
    if (public_key == NULL) {
        return false;
    }
    /* All nodes try at the same hour; the condition lets one of them win. */
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_if_version(txn, PUBLIC_FILE, version);
    cfs_txn_write(txn, OLD_FILE, old);
    cfs_txn_write(txn, KEY_FILE, key);
    cfs_txn_write(txn, PUBLIC_FILE, public_key);
    return cfs_txn_commit(cfs, txn, NULL, error);
}

char *
keys_csrf_secret(GError **error)
{
    g_autofree char *text = q_file_read(WWW_KEY_FILE, KEY_MAX_BYTES, NULL, error);

    return text != NULL ? csrf_secret(text) : NULL;
}
