#include "cluster/quorum_status.h"

/* Column by column as corosync-quorumtool -siH and -l print: scripts read these lines. */

static const struct {
    uint32_t bit;
    const char *word;
} flag_words[] = {
    /* clang-format off */
    { QUORUM_TWO_NODE,          "2Node" },
    { QUORUM_QUORATE,           "Quorate" },
    { QUORUM_WAIT_FOR_ALL,      "WaitForAll" },
    { QUORUM_LAST_MAN_STANDING, "LastManStanding" },
    { QUORUM_AUTO_TIE_BREAKER,  "AutoTieBreaker" },
    { QUORUM_ALLOW_DOWNSCALE,   "AllowDownscale" },
    { QUORUM_QDEVICE,           "Qdevice" },
    /* clang-format on */
};

static void
add_head(GString *text, const char *title)
{
    g_string_append_printf(text, "%s\n", title);
    for (const char *p = title; *p != '\0'; p++)
        g_string_append_c(text, '-');
    g_string_append_c(text, '\n');
}

static void
add_qdevice_column(GString *text, const QuorumMember *member)
{
    g_autofree char *word = NULL;

    if ((member->flags & QUORUM_QDEVICE) == 0)
        word = g_strdup("NR");
    else
        word = g_strdup_printf("%s,%s,%s", member->flags & QUORUM_QDEVICE_ALIVE ? "A" : "NA",
                               member->flags & QUORUM_QDEVICE_VOTED ? "V" : "NV",
                               member->flags & QUORUM_QDEVICE_MASTER ? "MW" : "NMW");
    g_string_append_printf(text, "%10s ", word);
}

static void
add_members(GString *text, const QuorumStatus *status, bool hex)
{
    bool qdevice = (status->flags & QUORUM_QDEVICE) != 0;

    add_head(text, "Membership information");
    g_string_append(text, "    Nodeid      Votes ");
    g_string_append(text, qdevice ? "   Qdevice Name\n" : "Name\n");
    for (guint i = 0; i < status->members->len; i++) {
        const QuorumMember *member = &g_array_index(status->members, QuorumMember, i);
        g_string_append_printf(text, hex ? "0x%08x" : "%10u", member->id);
        g_string_append_printf(text, " %10u ", member->votes);
        if (qdevice)
            add_qdevice_column(text, member);
        g_string_append_printf(text, "%s%s\n", hex ? member->addr : member->name,
                               member->local ? " (local)" : "");
    }
    if (!qdevice)
        return;
    g_string_append_printf(text, hex ? "0x%08x" : "%10u", 0u);
    if (status->flags & QUORUM_QDEVICE_VOTED)
        g_string_append_printf(text, " %10u            Qdevice\n", status->qdevice_votes);
    else
        g_string_append_printf(text, " %10u            Qdevice (votes %u)\n", 0u,
                               status->qdevice_votes);
}

static void
add_votes(GString *text, const QuorumStatus *status)
{
    add_head(text, "Votequorum information");
    g_string_append_printf(text, "Expected votes:   %u\n", status->expected);
    g_string_append_printf(text, "Highest expected: %u\n", status->highest_expected);
    g_string_append_printf(text, "Total votes:      %u\n", status->total_votes);
    g_string_append_printf(text, "Quorum:           %u %s\n", status->quorum,
                           status->flags & QUORUM_QUORATE ? " " : "Activity blocked");
    g_string_append(text, "Flags:            ");
    for (size_t i = 0; i < G_N_ELEMENTS(flag_words); i++)
        if (status->flags & flag_words[i].bit)
            g_string_append_printf(text, "%s ", flag_words[i].word);
    g_string_append(text, "\n\n");
}

static const char *
conf_word(const CorosyncConf *conf, const char *key, const char *fallback)
{
    const char *word = corosync_conf_get(conf, "totem", key);

    return word != NULL ? word : fallback;
}

char *
quorum_status_text(const QuorumStatus *status, const CorosyncConf *conf)
{
    GString *text = g_string_new(NULL);

    add_head(text, "Cluster information");
    g_string_append_printf(text, "Name:             %s\n", corosync_conf_cluster_name(conf));
    g_string_append_printf(text, "Config Version:   %s\n", conf_word(conf, "config_version", "0"));
    g_string_append_printf(text, "Transport:        %s\n", conf_word(conf, "transport", "knet"));
    g_string_append_printf(text, "Secure auth:      %s\n\n", conf_word(conf, "secauth", "off"));
    add_head(text, "Quorum information");
    g_string_append_printf(text, "Date:             %s\n", status->date);
    g_string_append_printf(text, "Quorum provider:  %s\n", status->provider);
    g_string_append_printf(text, "Nodes:            %u\n", status->members->len);
    g_string_append_printf(text, "Node ID:          0x%08x\n", status->local_id);
    g_string_append_printf(text, "Ring ID:          %x.%" G_GINT64_MODIFIER "x\n", status->ring_id,
                           status->ring_seq);
    g_string_append_printf(text, "Quorate:          %s\n\n", status->quorate ? "Yes" : "No");
    add_votes(text, status);
    add_members(text, status, true);
    if (status->remarks->len > 0)
        g_string_append_c(text, '\n');
    for (guint i = 0; i < status->remarks->len; i++)
        g_string_append_printf(text, "%s\n", (char *)status->remarks->pdata[i]);
    return g_string_free(text, FALSE);
}

char *
quorum_nodes_text(const QuorumStatus *status)
{
    GString *text = g_string_new("\n");

    add_members(text, status, false);
    return g_string_free(text, FALSE);
}
