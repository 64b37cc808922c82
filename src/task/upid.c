#include "task/upid.h"
#include <string.h>

enum { UPID_MAX_LENGTH = 1024, UPID_PARTS = 9 };

static bool
has_no_separator(const char *text, bool may_be_empty)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == ':' || *p == '/' || g_ascii_isspace(*p) || g_ascii_iscntrl(*p)) {
            return false;
        }
    }
    return may_be_empty || *text != '\0';
}

bool
upid_type_is_valid(const char *type)
{
    return has_no_separator(type, false);
}

bool
upid_id_is_valid(const char *id)
{
    return has_no_separator(id, true);
}

static bool
parse_hex(const char *text, size_t min_digits, size_t max_digits, uint64_t *value)
{
    size_t length = strlen(text);

    /* One way to write a number: a task has one name, hence one log. */
    if (length < min_digits || length > max_digits || (length > min_digits && *text == '0')) {
        return false;
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (!g_ascii_isxdigit(*p) || g_ascii_islower(*p)) {
            return false;
        }
    }
    *value = g_ascii_strtoull(text, NULL, 16);
    return true;
}

static bool
node_is_valid(const char *node)
{
    for (const char *p = node; *p != '\0'; p++) {
        if (!g_ascii_isalnum(*p) && *p != '-') {
            return false;
        }
    }
    return *node != '\0';
}

Upid *
upid_parse(const char *text, GError **error)
{
    g_auto(GStrv) parts = NULL;
    uint64_t pid, ticks, time;

    if (strlen(text) <= UPID_MAX_LENGTH && g_utf8_validate(text, -1, NULL)) {
        parts = g_strsplit(text, ":", UPID_PARTS + 1);
    }
    if (parts == NULL || g_strv_length(parts) != UPID_PARTS || strcmp(parts[0], "UPID") != 0
        || !node_is_valid(parts[1]) || !parse_hex(parts[2], 8, 8, &pid)
        || !parse_hex(parts[3], 8, 9, &ticks) || !parse_hex(parts[4], 8, 8, &time)
        || !upid_type_is_valid(parts[5]) || !upid_id_is_valid(parts[6])
        || !has_no_separator(parts[7], false) || parts[8][0] != '\0' || pid == 0
        || pid > G_MAXINT32) {
        q_set_error(error, Q_ERROR_INVALID, "unable to parse worker upid '%.*s'", UPID_MAX_LENGTH,
                    text);
        return NULL;
    }
    Upid *upid = g_new0(Upid, 1);
    upid->node = g_strdup(parts[1]);
    upid->pid = pid;
    upid->start_ticks = ticks;
    upid->started_at_s = time;
    upid->type = g_strdup(parts[5]);
    upid->id = g_strdup(parts[6]);
    upid->user = g_strdup(parts[7]);
    return upid;
}

char *
upid_text(const Upid *upid)
{
    return g_strdup_printf(
        "UPID:%s:%08X:%08" G_GINT64_MODIFIER "X:%08" G_GINT64_MODIFIER "X:%s:%s:%s:", upid->node,
        (unsigned)upid->pid, (guint64)upid->start_ticks, (guint64)upid->started_at_s, upid->type,
        upid->id, upid->user);
}

void
upid_free(Upid *upid)
{
    if (upid == NULL) {
        return;
    }
    g_free(upid->node);
    g_free(upid->type);
    g_free(upid->id);
    g_free(upid->user);
    g_free(upid);
}
