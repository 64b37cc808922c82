#include "api/format.h"
#include <arpa/inet.h>
#include <string.h>
#include "access/core/roles.h"
#include "access/core/user_cfg.h"

static bool
only(const char *text, const char *also)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (!g_ascii_isalnum(*p) && strchr(also, *p) == NULL) {
            return false;
        }
    }
    return *text != '\0';
}

static bool
is_node(const char *text)
{
    size_t length = strlen(text);

    return length <= 63 && only(text, "-") && text[0] != '-' && text[length - 1] != '-';
}

static bool
is_vmid(const char *text)
{
    size_t length = strlen(text);

    return length >= 3 && length <= 9 && text[0] != '0' && strspn(text, "0123456789") == length;
}

static bool
is_storage(const char *text)
{
    size_t length = strlen(text);

    return length >= 2 && length <= 100 && only(text, "-_.") && g_ascii_isalpha(text[0])
           && g_ascii_isalnum(text[length - 1]);
}

static bool
is_configid(const char *text)
{
    return strlen(text) >= 2 && strlen(text) <= 128 && only(text, "-_") && g_ascii_isalpha(text[0]);
}

static bool
is_sid(const char *text)
{
    return is_vmid(text) || (g_str_has_prefix(text, "vm:") && is_vmid(text + 3))
           || (g_str_has_prefix(text, "ct:") && is_vmid(text + 3));
}

static bool
is_pool(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", -1);

    for (char **part = parts; *part != NULL; part++) {
        if (!access_name_is_valid(*part)) {
            return false;
        }
    }
    return g_strv_length(parts) <= 3 && parts[0] != NULL;
}

static bool
is_ipv4(const char *text)
{
    struct in_addr address;

    return inet_pton(AF_INET, text, &address) == 1;
}

static bool
is_ipv6(const char *text)
{
    struct in6_addr address;

    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool
is_ip(const char *text)
{
    return is_ipv4(text) || is_ipv6(text);
}

static bool
is_cidr(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    guint64 bits;

    if (parts[0] == NULL || parts[1] == NULL || !is_ip(parts[0])) {
        return false;
    }
    return g_ascii_string_to_unsigned(parts[1], 10, 0, is_ipv4(parts[0]) ? 32 : 128, &bits, NULL);
}

static bool
is_ip_or_cidr(const char *text)
{
    return is_ip(text) || is_cidr(text);
}

static bool
is_dns_name(const char *text)
{
    g_auto(GStrv) labels = g_strsplit(text, ".", -1);

    for (char **label = labels; *label != NULL; label++) {
        if (!is_node(*label)) {
            return false;
        }
    }
    return *text != '\0' && strlen(text) <= 253;
}

static bool
is_address(const char *text)
{
    return is_ip(text) || is_dns_name(text);
}

static bool
is_mac(const char *text)
{
    if (strlen(text) != 17) {
        return false;
    }
    for (int i = 0; i < 17; i++) {
        if (i % 3 == 2 ? text[i] != ':' : !g_ascii_isxdigit(text[i])) {
            return false;
        }
    }
    return (g_ascii_xdigit_value(text[1]) & 1) == 0; /* not a group address */
}

static bool
is_interface(const char *text)
{
    return strlen(text) <= 20 && only(text, "_.-:") && g_ascii_isalpha(text[0]);
}

static bool
is_volume(const char *text)
{
    const char *colon = strchr(text, ':');

    if (colon == NULL || colon[1] == '\0') {
        return false;
    }
    g_autofree char *storage = g_strndup(text, colon - text);
    return is_storage(storage);
}

static bool
is_email(const char *text)
{
    const char *at = strchr(text, '@');

    return *text == '\0'
           || (at != NULL && at != text && at[1] != '\0' && strpbrk(text, " \t\n") == NULL);
}

static bool
is_token_id(const char *text)
{
    return strlen(text) >= 2 && only(text, "._-") && g_ascii_isalpha(text[0]);
}

static bool
is_acl_path(const char *text)
{
    g_autofree char *path = access_path(text);

    return path != NULL;
}

static bool
is_tag(const char *text)
{
    return only(text, "_-+.") && strchr("-+.", text[0]) == NULL;
}

static bool
is_task_status(const char *text)
{
    static const char *const known[] = { "ok", "error", "warning", "unknown", NULL };

    return g_strv_contains(known, text);
}

static bool
is_absolute(const char *text)
{
    return g_path_is_absolute(text);
}

static bool
is_one_line(const char *text)
{
    return strpbrk(text, "\r\n") == NULL;
}

/* clang-format off */
static const struct {
    const char *name;
    bool (*is)(const char *text); /* NULL: checked where it is parsed */
    const char *what;
} formats[] = {
    { "pve-node",              is_node,              "a valid node name" },
    { "pve-vmid",              is_vmid,              "a valid VM ID" },
    { "pve-storage-id",        is_storage,           "a valid storage ID" },
    { "pve-configid",          is_configid,          "a valid configuration ID" },
    { "pve-ha-resource-id",    is_sid,               "a valid HA resource ID" },
    { "pve-ha-resource-or-vm-id", is_sid,            "a valid HA resource ID or VM ID" },
    { "pve-ha-node",           NULL,                 "a node with an optional priority" },
    { "pve-userid",            access_user_is_valid, "a valid user name (NAME@REALM)" },
    { "pve-realm",             access_realm_is_valid, "a valid realm" },
    { "pve-groupid",           access_name_is_valid, "a valid group name" },
    { "pve-roleid",            access_name_is_valid, "a valid role name" },
    { "pve-poolid",            is_pool,              "a valid pool name" },
    { "pve-tokenid",           access_token_is_valid, "a valid token (USER@REALM!ID)" },
    { "pve-token",             is_token_id,          "a valid token name" },
    { "pve-priv",              access_is_privilege,  "a known privilege" },
    { "pve-acl-path",          is_acl_path,          "a path that permissions can be given on" },
    { "pve-iface",             is_interface,         "a valid network interface name" },
    { "pve-bridge-id",         is_interface,         "a valid bridge name" },
    { "pve-volume-id",         is_volume,            "a valid volume ID (STORAGE:VOLUME)" },
    { "pve-tag",               is_tag,               "a valid tag" },
    { "pve-task-status-type",  is_task_status,       "one of ok, warning, error, unknown" },
    { "pve-storage-path",      is_absolute, "an absolute path" },
    { "pve-storage-server",    is_address,           "an address or a host name" },
    { "pve-storage-content",   NULL,                 "a kind of content" },
    { "pve-storage-options",   NULL,                 "mount options" },
    { "pve-storage-portal-dns", NULL,                "an iSCSI portal" },
    { "pve-storage-vgname",    is_configid,          "a volume group" },
    { "pve-calendar-event",    NULL,                 "a calendar event" },
    { "pve-replication-job-id", NULL,                "a replication job (VMID-N)" },
    { "pve-startup-order",     NULL,                 "a startup order" },
    { "pve-dir-override",      NULL,                 "CONTENT=DIRECTORY" },
    { "storage-pair",          NULL,                 "STORAGE or STORAGE:STORAGE" },
    { "bridge-pair",           NULL,                 "BRIDGE or BRIDGE:BRIDGE" },
    { "prune-backups",         NULL,                 "what to keep of backups" },
    { "ip",                    is_ip,                "a valid IP address" },
    { "ipv4",                  is_ipv4,              "a valid IPv4 address" },
    { "ipv6",                  is_ipv6,              "a valid IPv6 address" },
    { "CIDR",                  is_cidr,              "a valid network (ADDRESS/BITS)" },
    { "IPorCIDR",              is_ip_or_cidr,        "a valid IP address or network" },
    { "address",               is_address,           "a valid address or host name" },
    { "dns-name",              is_dns_name,          "a valid DNS name" },
    { "mac-addr",              is_mac,               "a valid unicast MAC address" },
    { "email-opt",             is_email,             "a valid mail address" },
    { "urlencoded",            is_one_line,       "URL-encoded text" },
    { "string",                NULL,                 "text" },
};
/* clang-format on */

static size_t
find(const char *format, bool *is_list)
{
    *is_list = g_str_has_suffix(format, "-list");
    g_autofree char *base = g_strndup(format, strlen(format) - (*is_list ? strlen("-list") : 0));

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (strcmp(formats[i].name, base) == 0) {
            return i;
        }
    }
    return G_N_ELEMENTS(formats);
}

bool
api_format_is_known(const char *format)
{
    bool is_list;

    return find(format, &is_list) < G_N_ELEMENTS(formats);
}

bool
api_format_check(const char *format, const char *value, char **why)
{
    bool is_list;
    size_t row = find(format, &is_list);

    if (row == G_N_ELEMENTS(formats) || formats[row].is == NULL) {
        return true;
    }
    g_auto(GStrv) parts = is_list ? g_strsplit_set(value, ",; \t\n", -1) : NULL;
    const char *const whole[] = { value, NULL };
    for (const char *const *part = is_list ? (const char *const *)parts : whole; *part != NULL;
         part++) {
        if (is_list && **part == '\0') {
            continue;
        }
        if (!formats[row].is(*part)) {
            *why = g_strdup_printf("value '%s' does not look like %s", *part, formats[row].what);
            return false;
        }
    }
    return true;
}
