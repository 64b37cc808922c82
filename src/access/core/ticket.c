#include "access/core/ticket.h"
#include <string.h>

enum { TIME_DIGITS = 8 };

/* clang-format off */
static const struct {
    const char *kind;
    int64_t ahead_s, age_s; /* clocks differ; it ends */
} kinds[] = {
    { "PVE",       300, 7200 },
    { "PVEVNC",     20,   40 },
    { "PVETUNNEL",  20,   40 },
    { "PVENODE",    20,   60 },
};
/* clang-format on */

bool
ticket_age_is_good(const char *kind, int64_t made_at_s, int64_t now_s)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].kind, kind) == 0) {
            int64_t age_s = now_s - made_at_s;
            return age_s >= -kinds[i].ahead_s && age_s <= kinds[i].age_s;
        }
    }
    return false;
}

static bool
parse_time(const char *text, size_t length, int64_t *time_s)
{
    if (length != TIME_DIGITS) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isxdigit(text[i])) {
            return false;
        }
        value = value * 16 + g_ascii_xdigit_value(text[i]);
    }
    *time_s = value;
    return true;
}

static bool
kind_is_valid(const char *kind)
{
    for (const char *p = kind; *p != '\0'; p++) {
        if (!g_ascii_isupper(*p)) {
            return false;
        }
    }
    return *kind != '\0';
}

static char *
data_escape(const char *data)
{
    GString *out = g_string_new(NULL);

    for (const unsigned char *p = (const unsigned char *)data; *p != '\0'; p++) {
        if (*p <= 0x20 || *p == ':' || *p == '%' || *p == 0x7f) {
            g_string_append_printf(out, "%%%02X", *p);
        } else {
            g_string_append_c(out, *p);
        }
    }
    return g_string_free(out, FALSE);
}

static char *
data_unescape(const char *text)
{
    GString *out = g_string_new(NULL);

    for (const char *p = text; *p != '\0'; p++) {
        int byte = (unsigned char)*p;
        if (*p == '%' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2])) {
            byte = g_ascii_xdigit_value(p[1]) * 16 + g_ascii_xdigit_value(p[2]);
            p += 2;
        }
        if (byte == 0) {
            g_string_free(out, TRUE);
            return NULL; /* "root@pam%00…" must not read as root@pam */
        }
        g_string_append_c(out, byte);
    }
    return g_string_free(out, FALSE);
}

Ticket *
ticket_parse(const char *text, GError **error)
{
    const char *mark = NULL;

    if (strlen(text) <= TICKET_MAX_LENGTH) {
        mark = g_strrstr(text, "::");
    }
    if (mark == NULL || mark[2] == '\0') {
        q_set_error(error, Q_ERROR_UNAUTHENTICATED, "not a ticket");
        return NULL;
    }
    g_autoptr(Ticket) ticket = g_new0(Ticket, 1);
    ticket->plain = g_strndup(text, mark - text);
    ticket->signature = g_strdup(mark + 2);

    g_auto(GStrv) parts = g_strsplit(ticket->plain, ":", 4);
    guint count = g_strv_length(parts);
    if ((count != 2 && count != 3) || !kind_is_valid(parts[0])
        || !parse_time(parts[count - 1], strlen(parts[count - 1]), &ticket->made_at_s)) {
        q_set_error(error, Q_ERROR_UNAUTHENTICATED, "not a ticket");
        return NULL;
    }
    ticket->kind = g_strdup(parts[0]);
    ticket->data = data_unescape(count == 3 ? parts[1] : "");
    if (ticket->data == NULL) {
        q_set_error(error, Q_ERROR_UNAUTHENTICATED, "not a ticket");
        return NULL;
    }
    return g_steal_pointer(&ticket);
}

void
ticket_free(Ticket *ticket)
{
    if (ticket == NULL) {
        return;
    }
    g_free(ticket->kind);
    g_free(ticket->data);
    g_free(ticket->plain);
    g_free(ticket->signature);
    g_free(ticket);
}

char *
ticket_plain(const char *kind, const char *data, int64_t now_s)
{
    g_autofree char *escaped = data_escape(data != NULL ? data : "");

    return g_strdup_printf("%s:%s%s%08" G_GINT64_MODIFIER "X", kind, escaped,
                           *escaped != '\0' ? ":" : "", (guint64)now_s);
}

char *
ticket_signed_text(const char *plain, const char *aad)
{
    return aad != NULL ? g_strdup_printf("%s:%s", plain, aad) : g_strdup(plain);
}

/* ------------------------------------------------------------------ CSRF prevention tokens */

static char *
hmac_base64(const char *key, const char *text)
{
    g_autoptr(GHmac) hmac = g_hmac_new(G_CHECKSUM_SHA256, (const guchar *)key, strlen(key));
    guint8 digest[32];
    gsize length = sizeof digest;

    g_hmac_update(hmac, (const guchar *)text, strlen(text));
    g_hmac_get_digest(hmac, digest, &length);
    char *encoded = g_base64_encode(digest, length);
    encoded[strcspn(encoded, "=")] = '\0';
    return encoded;
}

char *
csrf_secret(const char *key_file_text)
{
    return hmac_base64("", key_file_text);
}

char *
csrf_token(const char *secret, const char *user, int64_t now_s)
{
    g_autofree char *time = g_strdup_printf("%08" G_GINT64_MODIFIER "X", (guint64)now_s);
    g_autofree char *text = g_strdup_printf("%s:%s", time, user);
    g_autofree char *mac = hmac_base64(secret, text);

    return g_strdup_printf("%s:%s", time, mac);
}

/* Takes the same time wherever the difference is. */
static bool
equal_secret(const char *a, const char *b)
{
    size_t length = strlen(a);
    unsigned char difference = 0;

    if (strlen(b) != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        difference |= a[i] ^ b[i];
    }
    return difference == 0;
}

bool
csrf_token_is_good(const char *token, const char *secret, const char *user, int64_t now_s)
{
    int64_t made_at_s;

    if (!parse_time(token, strcspn(token, ":"), &made_at_s)
        || !ticket_age_is_good("PVE", made_at_s, now_s)) {
        return false;
    }
    g_autofree char *expected = csrf_token(secret, user, made_at_s);
    return equal_secret(token, expected);
}
