#include "cluster/host_address.h"
#include <ifaddrs.h>
#include <netdb.h>
#include <string.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include "sys/file.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_MAX 65536

static bool
text_of(const struct sockaddr *address, char text[INET6_ADDRSTRLEN])
{
    if (address == NULL)
        return false;
    if (address->sa_family == AF_INET)
        return inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text,
                         INET6_ADDRSTRLEN)
               != NULL;
    return address->sa_family == AF_INET6
           && inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text,
                        INET6_ADDRSTRLEN)
                  != NULL;
}

static bool
is_loopback(const char *addr)
{
    return g_str_has_prefix(addr, "127.") || strcmp(addr, "::1") == 0;
}

bool
host_address_is_numeric(const char *addr)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, addr, bytes) == 1 || inet_pton(AF_INET6, addr, bytes) == 1;
}

static char **
resolve(const char *name)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *list = NULL;

    if (getaddrinfo(name, NULL, &hints, &list) == 0) {
        for (struct addrinfo *each = list; each != NULL; each = each->ai_next) {
            char text[INET6_ADDRSTRLEN];
            if (text_of(each->ai_addr, text))
                g_strv_builder_add(builder, text);
        }
        freeaddrinfo(list);
    }
    return g_strv_builder_end(builder);
}

static char **
interface_addresses(bool all)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    struct ifaddrs *list = NULL;

    if (getifaddrs(&list) != 0)
        return g_strv_builder_end(builder);
    for (struct ifaddrs *each = list; each != NULL; each = each->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        if (!text_of(each->ifa_addr, text))
            continue;
        if (all || (!is_loopback(text) && !g_str_has_prefix(text, "fe80:")))
            g_strv_builder_add(builder, text);
    }
    freeifaddrs(list);
    return g_strv_builder_end(builder);
}

char **
host_addresses(void)
{
    return interface_addresses(false);
}

bool
host_address_is_ours(const char *addr)
{
    g_auto(GStrv) ours = interface_addresses(true);
    g_auto(GStrv) meant = resolve(addr);

    for (int i = 0; meant[i] != NULL; i++)
        if (!is_loopback(meant[i]) && g_strv_contains((const char *const *)ours, meant[i]))
            return true;
    return false;
}

bool
host_address_same(const char *a, const char *b)
{
    g_auto(GStrv) all_a = NULL;
    g_auto(GStrv) all_b = NULL;

    if (strcmp(a, b) == 0)
        return true;
    all_a = resolve(a);
    all_b = resolve(b);
    for (int i = 0; all_a[i] != NULL; i++)
        if (g_strv_contains((const char *const *)all_b, all_a[i]))
            return true;
    return false;
}

char *
host_address_of(const char *name, GError **error)
{
    g_auto(GStrv) addresses = resolve(name);

    for (int i = 0; addresses[i] != NULL; i++)
        if (!is_loopback(addresses[i]) && !g_str_has_prefix(addresses[i], "fe80:"))
            return g_strdup(addresses[i]);
    q_set_error(
        error, Q_ERROR_NOT_FOUND,
        "hostname '%s' has no address but loopback; put its address into /etc/hosts, or give "
        "the address as --link0",
        name);
    return NULL;
}

char *
host_fqdn(const char *node)
{
    g_autofree char *text = q_file_read(RESOLV_CONF, RESOLV_CONF_MAX, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (int i = 0; lines[i] != NULL; i++) {
        g_auto(GStrv) words = g_strsplit_set(g_strstrip(lines[i]), " \t", -1);
        if (words[0] == NULL || words[1] == NULL
            || (strcmp(words[0], "search") != 0 && strcmp(words[0], "domain") != 0))
            continue;
        bool ok = words[1][0] != '\0';
        for (const char *p = words[1]; *p != '\0'; p++)
            ok &= g_ascii_isalnum(*p) || *p == '-' || *p == '.';
        if (ok && strcmp(words[1], ".") != 0)
            return g_strdup_printf("%s.%s", node, words[1]);
    }
    return g_strdup(node);
}
