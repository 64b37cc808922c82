#include "cluster/quorum_status.h"

static const char conf_text[] = "totem {\n  version: 2\n  cluster_name: lab\n  config_version: 3\n"
                                "  secauth: on\n}\n";

static QuorumMember members[] = {
    { .id = 1, .name = (char *)"n1", .addr = (char *)"10.0.0.1", .votes = 1, .local = true },
    { .id = 2, .name = (char *)"n2", .addr = (char *)"10.0.0.2", .votes = 1 },
    { .id = 30, .name = (char *)"n30", .addr = (char *)"10.0.0.30", .votes = 0 },
};

static QuorumStatus *
status_new(guint count, uint32_t flags)
{
    QuorumStatus *status = g_new0(QuorumStatus, 1);

    status->date = g_strdup("Tue Nov 24 10:22:01 2026");
    status->provider = g_strdup("corosync_votequorum");
    status->local_id = status->ring_id = 1;
    status->ring_seq = 0x1a8;
    status->quorate = (flags & QUORUM_QUORATE) != 0;
    status->expected = status->highest_expected = 2;
    status->total_votes = MIN(count, 2);
    status->quorum = 2;
    status->flags = flags;
    status->qdevice_votes = 1;
    status->remarks = g_ptr_array_new_with_free_func(g_free);
    status->members = g_array_new(FALSE, FALSE, sizeof(QuorumMember));
    g_array_append_vals(status->members, members, count);
    return status;
}

static void
prints(QuorumStatus *status, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CorosyncConf) conf = corosync_conf_parse(conf_text, &error);
    g_autofree char *text = quorum_status_text(status, conf);

    g_assert_cmpstr(text, ==, expected);
    quorum_status_free(status);
}

/* clang-format off */
#define CLUSTER \
    "Cluster information\n" \
    "-------------------\n" \
    "Name:             lab\n" \
    "Config Version:   3\n" \
    "Transport:        knet\n" \
    "Secure auth:      on\n" \
    "\n"
#define QUORUM(nodes, quorate) \
    "Quorum information\n" \
    "------------------\n" \
    "Date:             Tue Nov 24 10:22:01 2026\n" \
    "Quorum provider:  corosync_votequorum\n" \
    "Nodes:            " nodes "\n" \
    "Node ID:          0x00000001\n" \
    "Ring ID:          1.1a8\n" \
    "Quorate:          " quorate "\n" \
    "\n"
#define VOTES(total, quorum, flags) \
    "Votequorum information\n" \
    "----------------------\n" \
    "Expected votes:   2\n" \
    "Highest expected: 2\n" \
    "Total votes:      " total "\n" \
    "Quorum:           " quorum "\n" \
    "Flags:            " flags "\n" \
    "\n"
#define MEMBERS \
    "Membership information\n" \
    "----------------------\n"
/* clang-format on */

static void
test_quorate(void)
{
    prints(status_new(3, QUORUM_QUORATE), CLUSTER QUORUM("3", "Yes") VOTES("2", "2  ", "Quorate ")
                                              MEMBERS "    Nodeid      Votes Name\n"
                                                      "0x00000001          1 10.0.0.1 (local)\n"
                                                      "0x00000002          1 10.0.0.2\n"
                                                      "0x0000001e          0 10.0.0.30\n");
}

static void
test_blocked(void)
{
    QuorumStatus *status = status_new(1, 0);

    g_ptr_array_add(status->remarks, g_strdup("link 1: n3 not reached"));
    prints(status, CLUSTER QUORUM("1", "No") VOTES("1", "2 Activity blocked", "") MEMBERS
           "    Nodeid      Votes Name\n"
           "0x00000001          1 10.0.0.1 (local)\n"
           "\n"
           "link 1: n3 not reached\n");
}

static void
test_two_node(void)
{
    prints(status_new(1, QUORUM_TWO_NODE | QUORUM_QUORATE | QUORUM_WAIT_FOR_ALL),
           CLUSTER QUORUM("1", "Yes") VOTES("1", "2  ", "2Node Quorate WaitForAll ") MEMBERS
           "    Nodeid      Votes Name\n"
           "0x00000001          1 10.0.0.1 (local)\n");
}

static void
test_qdevice(void)
{
    QuorumStatus *status = status_new(2, QUORUM_QUORATE | QUORUM_QDEVICE | QUORUM_QDEVICE_VOTED);

    g_array_index(status->members, QuorumMember, 0).flags =
        QUORUM_QDEVICE | QUORUM_QDEVICE_ALIVE | QUORUM_QDEVICE_VOTED;
    prints(status, CLUSTER QUORUM("2", "Yes") VOTES("2", "2  ", "Quorate Qdevice ") MEMBERS
           "    Nodeid      Votes    Qdevice Name\n"
           "0x00000001          1    A,V,NMW 10.0.0.1 (local)\n"
           "0x00000002          1         NR 10.0.0.2\n"
           "0x00000000          1            Qdevice\n");
    status = status_new(1, QUORUM_QDEVICE);
    prints(status, CLUSTER QUORUM("1", "No") VOTES("1", "2 Activity blocked", "Qdevice ") MEMBERS
           "    Nodeid      Votes    Qdevice Name\n"
           "0x00000001          1         NR 10.0.0.1 (local)\n"
           "0x00000000          0            Qdevice (votes 1)\n");
}

static void
test_nodes(void)
{
    g_autoptr(QuorumStatus) status = status_new(3, QUORUM_QUORATE);
    g_autofree char *text = quorum_nodes_text(status);

    g_assert_cmpstr(text, ==,
                    "\n" MEMBERS "    Nodeid      Votes Name\n"
                    "         1          1 n1 (local)\n"
                    "         2          1 n2\n"
                    "        30          0 n30\n");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cluster/quorum_status/quorate", test_quorate);
    g_test_add_func("/cluster/quorum_status/blocked", test_blocked);
    g_test_add_func("/cluster/quorum_status/two-node", test_two_node);
    g_test_add_func("/cluster/quorum_status/qdevice", test_qdevice);
    g_test_add_func("/cluster/quorum_status/nodes", test_nodes);
    return g_test_run();
}
