#include "cluster/quorum_status.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <arpa/inet.h>
#include <corosync/cfg.h>
#include <corosync/cmap.h>
#include <corosync/quorum.h>
#include <corosync/votequorum.h>

#define NODES_MAX 128 /* more than Corosync carries */
#define TRIES 50      /* for an answer of "try again", 20 ms apart */
#define TRY_US 20000

static bool
refused(GError **error, const char *what, cs_error_t rc)
{
    return q_set_error(error, rc == CS_ERR_INVALID_PARAM ? Q_ERROR_INVALID : Q_ERROR_UNREACHABLE,
                       "corosync: %s: %s; does it run?", what, cs_strerror(rc));
}

/* ------------------------------------------------------------------ reading */

typedef struct {
    bool heard;
    struct quorum_ring_id ring;
    uint32_t members[NODES_MAX];
    uint32_t count;
} View;

static void
on_quorum(quorum_handle_t handle, uint32_t quorate, struct quorum_ring_id ring, uint32_t count,
          const uint32_t *members)
{
    const void *context = NULL;

    quorum_context_get(handle, &context);
    View *view = (View *)context;
    view->heard = true;
    view->ring = ring;
    view->count = MIN(count, NODES_MAX);
    memcpy(view->members, members, view->count * sizeof *members);
}

static bool
read_view(View *view, bool *quorate, GError **error)
{
    quorum_model_v1_data_t model = { .model = QUORUM_MODEL_V1, .quorum_notify_fn = on_quorum };
    quorum_handle_t handle;
    uint32_t type;
    int flag = 0;
    cs_error_t rc = quorum_model_initialize(&handle, QUORUM_MODEL_V1, (quorum_model_data_t *)&model,
                                            &type, view);

    if (rc != CS_OK)
        return refused(error, "quorum service", rc);
    rc = quorum_getquorate(handle, &flag);
    if (rc == CS_OK)
        rc = quorum_trackstart(handle, CS_TRACK_CURRENT);
    for (int i = 0; i < TRIES && rc == CS_OK && !view->heard; i++) {
        rc = quorum_dispatch(handle, CS_DISPATCH_ALL);
        if (!view->heard)
            g_usleep(TRY_US);
    }
    quorum_finalize(handle);
    if (rc != CS_OK || !view->heard)
        return refused(error, "membership", rc != CS_OK ? rc : CS_ERR_TIMEOUT);
    *quorate = flag != 0;
    return true;
}

static char *
cmap_text(cmap_handle_t cmap, const char *key)
{
    char *raw = NULL;

    if (cmap_get_string(cmap, key, &raw) != CS_OK)
        return NULL;
    char *text = g_strdup(raw);
    free(raw);
    return text;
}

/* nodelist.node.N.nodeid → its name, from the configuration that Corosync runs with. */
static char *
member_name(cmap_handle_t cmap, uint32_t id)
{
    for (int i = 0; i < NODES_MAX; i++) {
        g_autofree char *id_key = g_strdup_printf("nodelist.node.%d.nodeid", i);
        g_autofree char *name_key = g_strdup_printf("nodelist.node.%d.name", i);
        g_autofree char *addr_key = g_strdup_printf("nodelist.node.%d.ring0_addr", i);
        uint32_t found = 0;
        if (cmap_get_uint32(cmap, id_key, &found) != CS_OK || found != id)
            continue;
        char *name = cmap_text(cmap, name_key);
        return name != NULL ? name : cmap_text(cmap, addr_key);
    }
    return NULL;
}

static char *
member_address(corosync_cfg_handle_t cfg, uint32_t id)
{
    corosync_cfg_node_address_t addresses[COROSYNC_LINKS];
    char text[INET6_ADDRSTRLEN] = "";
    int count = 0;

    if (corosync_cfg_get_node_addrs(cfg, id, COROSYNC_LINKS, &count, addresses) != CS_OK
        || count < 1)
        return g_strdup("");
    const struct sockaddr *address = (const struct sockaddr *)addresses[0].address;
    if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, sizeof text);
    else
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
    return g_strdup(text);
}

static void
member_clear(gpointer data)
{
    QuorumMember *member = data;

    g_free(member->name);
    g_free(member->addr);
}

static int
member_order(gconstpointer a, gconstpointer b)
{
    return strcmp(((const QuorumMember *)a)->addr, ((const QuorumMember *)b)->addr);
}

typedef struct {
    votequorum_handle_t votes;
    cmap_handle_t cmap;
    corosync_cfg_handle_t cfg;
} Services;

static void
services_close(Services *services)
{
    if (services->votes != 0)
        votequorum_finalize(services->votes);
    if (services->cmap != 0)
        cmap_finalize(services->cmap);
    if (services->cfg != 0)
        corosync_cfg_finalize(services->cfg);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Services, services_close)

static bool
services_open(Services *services, GError **error)
{
    votequorum_callbacks_t none = { 0 };
    corosync_cfg_callbacks_t cfg_none = { 0 };
    cs_error_t rc = cmap_initialize(&services->cmap);

    if (rc != CS_OK)
        return refused(error, "configuration map", rc);
    rc = votequorum_initialize(&services->votes, &none);
    if (rc != CS_OK)
        return refused(error, "votequorum service", rc);
    rc = corosync_cfg_initialize(&services->cfg, &cfg_none);
    return rc == CS_OK || refused(error, "configuration service", rc);
}

static void
read_members(Services *services, const View *view, QuorumStatus *status)
{
    for (uint32_t i = 0; i < view->count; i++) {
        QuorumMember member = { .id = view->members[i],
                                .local = view->members[i] == status->local_id };
        struct votequorum_info info;
        if (votequorum_getinfo(services->votes, member.id, &info) == CS_OK) {
            member.votes = info.node_votes;
            member.flags = info.flags;
        }
        member.name = member_name(services->cmap, member.id);
        if (member.name == NULL)
            member.name = g_strdup("");
        member.addr = member_address(services->cfg, member.id);
        g_array_append_val(status->members, member);
    }
    g_array_sort(status->members, member_order);
}

/* Links that carry nothing, from knet's own statistics. */
static void
read_links(Services *services, QuorumStatus *status)
{
    cmap_handle_t stats;
    cmap_iter_handle_t iter;
    char key[CMAP_KEYNAME_MAXLEN + 1];
    cmap_value_types_t type;
    size_t length;

    if (cmap_initialize_map(&stats, CMAP_MAP_STATS) != CS_OK)
        return;
    if (cmap_iter_init(stats, "stats.knet.node", &iter) == CS_OK) {
        while (cmap_iter_next(stats, iter, key, &length, &type) == CS_OK) {
            unsigned int id, link;
            int end = 0;
            uint8_t connected = 1;
            if (sscanf(key, "stats.knet.node%u.link%u.connected%n", &id, &link, &end) != 2
                || end == 0 || key[end] != '\0' || id == status->local_id
                || cmap_get_uint8(stats, key, &connected) != CS_OK || connected)
                continue;
            g_autofree char *name = member_name(services->cmap, id);
            g_ptr_array_add(status->remarks,
                            g_strdup_printf("link %u: %s not reached", link,
                                            name != NULL ? name : "an unknown node"));
        }
        cmap_iter_finalize(stats, iter);
    }
    cmap_finalize(stats);
}

static char *
date_text(void)
{
    time_t now = time(NULL);
    char text[32];

    ctime_r(&now, text);
    return g_strchomp(g_strdup(text));
}

QuorumStatus *
quorum_status_read(GError **error)
{
    g_auto(Services) services = { 0 };
    g_autoptr(QuorumStatus) status = g_new0(QuorumStatus, 1);
    struct votequorum_info info;
    View view = { 0 };

    status->members = g_array_new(FALSE, FALSE, sizeof(QuorumMember));
    g_array_set_clear_func(status->members, member_clear);
    status->remarks = g_ptr_array_new_with_free_func(g_free);
    if (!services_open(&services, error) || !read_view(&view, &status->quorate, error))
        return NULL;
    cs_error_t rc = votequorum_getinfo(services.votes, 0, &info);
    if (rc != CS_OK) {
        refused(error, "votes", rc);
        return NULL;
    }
    status->date = date_text();
    status->provider = cmap_text(services.cmap, "quorum.provider");
    status->local_id = info.node_id;
    status->ring_id = view.ring.nodeid;
    status->ring_seq = view.ring.seq;
    status->expected = info.node_expected_votes;
    status->highest_expected = info.highest_expected;
    status->total_votes = info.total_votes;
    status->quorum = info.quorum;
    status->flags = info.flags;
    status->qdevice_votes = info.qdevice_votes;
    status->qdevice = info.flags & QUORUM_QDEVICE ? g_strdup(info.qdevice_name) : NULL;
    read_members(&services, &view, status);
    read_links(&services, status);
    if (status->flags & QUORUM_TWO_NODE)
        g_ptr_array_add(
            status->remarks,
            g_strdup("two_node has no effect on the cluster filesystem: one node of two "
                     "alone changes nothing and recovers nothing"));
    return g_steal_pointer(&status);
}

void
quorum_status_free(QuorumStatus *status)
{
    if (status == NULL)
        return;
    g_free(status->date);
    g_free(status->provider);
    g_free(status->qdevice);
    g_array_unref(status->members);
    g_ptr_array_unref(status->remarks);
    g_free(status);
}

/* ------------------------------------------------------------------ acting */

bool
quorum_expect(uint32_t votes, GError **error)
{
    votequorum_callbacks_t none = { 0 };
    votequorum_handle_t handle;
    cs_error_t rc = votequorum_initialize(&handle, &none);

    if (rc != CS_OK)
        return refused(error, "votequorum service", rc);
    rc = votequorum_setexpected(handle, votes);
    votequorum_finalize(handle);
    return rc == CS_OK || refused(error, "Unable to set expected votes", rc);
}

bool
quorum_forget_node(uint32_t id, GError **error)
{
    corosync_cfg_callbacks_t none = { 0 };
    corosync_cfg_handle_t handle;
    cs_error_t rc = corosync_cfg_initialize(&handle, &none);

    if (rc != CS_OK)
        return refused(error, "configuration service", rc);
    rc = corosync_cfg_kill_node(handle, id, "removed from the cluster");
    corosync_cfg_finalize(handle);
    /* It is forgotten already, as every node that left before. */
    return rc == CS_OK || rc == CS_ERR_NOT_EXIST || refused(error, "Could not kill node", rc);
}

bool
quorum_reload(GError **error)
{
    corosync_cfg_callbacks_t none = { 0 };
    corosync_cfg_handle_t handle;
    cs_error_t rc = corosync_cfg_initialize(&handle, &none);

    if (rc != CS_OK)
        return refused(error, "configuration service", rc);
    rc = corosync_cfg_reload_config(handle);
    corosync_cfg_finalize(handle);
    return rc == CS_OK || refused(error, "reading corosync.conf anew", rc);
}
