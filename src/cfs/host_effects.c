#include "cfs/host_priv.h"
#include "sys/log.h"

/* Carrying out what the core decided. */

/* ------------------------------------------------------------------ notices */

/* Who reads the log at night: what happened, and what it means for writes. */
static void
log_notice(CfsHost *host, NoticeKind kind, uint32_t node, uint64_t number, const char *text)
{
    g_autofree char *disk = NULL;

    switch (kind) {
    case NOTICE_EPOCH_OPEN:
        q_notice("quorate: epoch %" G_GUINT64_FORMAT " is open, members %s", number, text);
        break;
    case NOTICE_EPOCH_CLOSED:
        q_info("membership changed: epoch %" G_GUINT64_FORMAT " is over", number);
        break;
    case NOTICE_NO_MAJORITY:
        q_warn("no quorum: reads only; missing: %s", text);
        break;
    case NOTICE_LEARNER:
        q_warn("this node follows but does not count: %s", text);
        break;
    case NOTICE_SYNC_BEGIN:
        q_info("catching up from node %u, %s", node, text);
        break;
    case NOTICE_SYNC_DONE:
        q_info("caught up, %" G_GUINT64_FORMAT " bytes received", number);
        break;
    case NOTICE_TAIL_DISCARDED:
        q_warn(
            "changes after %" G_GUINT64_FORMAT " that never had a majority are given up; where the "
            "cluster cannot give them back, the database as it was is kept in its folder backup/",
            number);
        break;
    case NOTICE_DIVERGED:
        q_warn("heard another order of messages than the majority: leaving, joining again");
        break;
    case NOTICE_DISK_BAD:
        host->disk_bad = true;
        disk = cfs_store_error(host->store);
        q_err("the disk fails: this node announces nothing as durable until it works again: %s",
              disk != NULL ? disk : "no reason known");
        break;
    case NOTICE_DISK_GOOD:
        host->disk_bad = false;
        q_notice("the disk works again: the database was written anew");
        break;
    case NOTICE_CONFIG:
        q_info("voters: %s", text);
        break;
    case NOTICE_BAD_MESSAGE:
        q_warn("dropped a message of node %u: %s", node, text);
        break;
    case NOTICE_LOCK_EXPIRED:
        q_notice("lock '%s' was not refreshed for 120 s: removed", text);
        break;
    case NOTICE_FOREIGN:
        q_warn("node %u belongs to another cluster or lineage and is ignored: %s", node, text);
        break;
    }
}

/* ------------------------------------------------------------------ effects */

static void
send_to(ClusterCpg *group, GBytes *message)
{
    gsize length;
    const void *bytes = g_bytes_get_data(message, &length);

    /* A message that cannot be sent is a lost one: the core is built for those. */
    if (group != NULL && !cluster_cpg_send(group, bytes, length)) {
        q_debug("a message of %zu bytes was not sent", length);
    }
}

void
cfs_host_carry_out(CfsHost *host, ReplicaEffect *effect)
{
    switch (effect->kind) {
    case EFFECT_PERSIST:
        cfs_store_write(host->store, effect->persist.token,
                        g_steal_pointer(&effect->persist.write));
        break;
    case EFFECT_MULTICAST:
        send_to(host->main_group, effect->message);
        break;
    case EFFECT_BULK:
        send_to(host->bulk_group, effect->message);
        break;
    case EFFECT_ANSWER:
        cfs_host_answer(host, effect->answer.id, &effect->answer.result);
        break;
    case EFFECT_VISIBLE:
        cfs_host_follow_config(host);
        if (host->events.visible != NULL) {
            host->events.visible(effect, host->events.data);
        }
        break;
    case EFFECT_QUORUM:
        if (host->events.quorum != NULL) {
            host->events.quorum(host->events.data);
        }
        break;
    case EFFECT_LEAVE:
        if (host->main_group != NULL) {
            cluster_cpg_rejoin(host->main_group);
        }
        break;
    case EFFECT_NOTICE:
        log_notice(host, effect->notice.kind, effect->notice.node_id, effect->notice.number,
                   effect->notice.text);
        break;
    }
}
