#include "access/throttle.h"
#include <arpa/inet.h>
#include <string.h>

enum { BURST = 10, REFILL_MS = 10000, ENTRIES_MAX = 10000 };

struct Throttle {
    GHashTable *debts; /* "source X" or "user X" → Debt */
};

typedef struct {
    double failures; /* that are not paid off yet */
    int64_t at_ms;
} Debt;

Throttle *
throttle_new(void)
{
    Throttle *throttle = g_new0(Throttle, 1);

    throttle->debts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return throttle;
}

void
throttle_free(Throttle *throttle)
{
    if (throttle != NULL) {
        g_hash_table_unref(throttle->debts);
        g_free(throttle);
    }
}

char *
throttle_source(const char *client)
{
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];

    if (client == NULL || inet_pton(AF_INET6, client, &address) != 1
        || IN6_IS_ADDR_V4MAPPED(&address)) {
        return g_strdup(client != NULL ? client : "here");
    }
    memset(address.s6_addr + 8, 0, 8);
    return g_strdup(inet_ntop(AF_INET6, &address, text, sizeof text));
}

static double
owed(const Debt *debt, int64_t now_ms)
{
    double left = debt->failures - (double)(now_ms - debt->at_ms) / REFILL_MS;

    return MAX(0, left);
}

static int
wait_of(Throttle *throttle, const char *key, int64_t now_ms)
{
    const Debt *debt = g_hash_table_lookup(throttle->debts, key);
    double over = debt != NULL ? owed(debt, now_ms) - (BURST - 1) : 0;

    return over > 0 ? (int)(over * REFILL_MS / 1000 + 0.999) : 0;
}

static gboolean
is_paid_off(gpointer key, gpointer debt, gpointer now_ms)
{
    return owed(debt, *(int64_t *)now_ms) <= 0;
}

static void
fail_of(Throttle *throttle, const char *key, int64_t now_ms)
{
    Debt *debt = g_hash_table_lookup(throttle->debts, key);

    if (debt == NULL) {
        if (g_hash_table_size(throttle->debts) >= ENTRIES_MAX) {
            g_hash_table_foreach_remove(throttle->debts, is_paid_off, &now_ms);
        }
        if (g_hash_table_size(throttle->debts) >= ENTRIES_MAX) {
            return; /* each source still pays for itself; names beyond that are not remembered */
        }
        debt = g_new0(Debt, 1);
        g_hash_table_insert(throttle->debts, g_strdup(key), debt);
    }
    debt->failures = MIN(owed(debt, now_ms) + 1, BURST + 1);
    debt->at_ms = now_ms;
}

static void
keys(const char *client, const char *user, char **source_key, char **user_key)
{
    g_autofree char *source = throttle_source(client);

    *source_key = g_strconcat("source ", source, NULL);
    *user_key = g_strconcat("user ", user, NULL);
}

int
throttle_wait_s(Throttle *throttle, const char *client, const char *user, int64_t now_ms)
{
    g_autofree char *source_key = NULL, *user_key = NULL;

    keys(client, user, &source_key, &user_key);
    return MAX(wait_of(throttle, source_key, now_ms), wait_of(throttle, user_key, now_ms));
}

void
throttle_failed(Throttle *throttle, const char *client, const char *user, int64_t now_ms)
{
    g_autofree char *source_key = NULL, *user_key = NULL;

    keys(client, user, &source_key, &user_key);
    fail_of(throttle, source_key, now_ms);
    fail_of(throttle, user_key, now_ms);
}
