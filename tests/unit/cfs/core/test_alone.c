#include "bench.h"

/* One node, with and without corosync: what it answered is there after any restart. */

static void
check_survives(bool cluster)
{
    g_autoptr(Bench) bench = bench_new(cluster);

    g_assert_cmpint(replica_quorum(bench->replica).state, ==, QUORUM_YES);
    g_assert_cmpint(bench_write(bench, "f", "kept"), ==, UPDATE_DONE);
    uint64_t sequence = replica_quorum(bench->replica).sequence;
    uint64_t epoch = replica_quorum(bench->replica).epoch.number;
    bench_restart(bench);
    g_autofree char *text = bench_read(bench, "f");
    g_assert_cmpstr(text, ==, "kept");
    g_assert_cmpuint(replica_quorum(bench->replica).epoch.number, >, epoch);
    g_assert_cmpuint(replica_quorum(bench->replica).sequence, >=, sequence);
}

static void
test_survives(void)
{
    check_survives(false);
    check_survives(true);
}

/* S16: no answer while the disk fails, and one as soon as a new file is written. */
static void
test_disk_fails(void)
{
    g_autoptr(Bench) bench = bench_new(true);

    bench->disk_fails = true;
    bench_write(bench, "f", "late");
    g_assert_false(bench->answered);
    bench->disk_fails = false;
    bench->now_ms += 2000;
    bench_step(bench, (ReplicaInput){ .kind = REPLICA_TICK });
    g_assert_true(bench->answered);
    g_assert_cmpint(bench->answer.code, ==, UPDATE_DONE);
    bench_restart(bench);
    g_autofree char *text = bench_read(bench, "f");
    g_assert_cmpstr(text, ==, "late");
}

/* S1: out of the group, or with the flag down, nothing changes; reads go on. */
static void
test_no_quorum(void)
{
    g_autoptr(Bench) bench = bench_new(true);

    bench_write(bench, "f", "1");
    bench_step(bench, (ReplicaInput){ .kind = REPLICA_FLAG, .flag = false });
    g_assert_cmpint(bench_write(bench, "f", "2"), ==, UPDATE_NO_QUORUM);
    bench_step(bench, (ReplicaInput){ .kind = REPLICA_FLAG, .flag = true });
    g_assert_cmpint(bench_write(bench, "f", "3"), ==, UPDATE_DONE);
    bench_step(bench, (ReplicaInput){ .kind = REPLICA_VIEW });
    g_assert_cmpint(bench_write(bench, "f", "4"), ==, UPDATE_NO_QUORUM);
    g_autofree char *text = bench_read(bench, "f");
    g_assert_cmpstr(text, ==, "3");
}

static void
test_visible_before_answer(void)
{
    g_autoptr(Bench) bench = bench_new(true);
    guint before = bench->visible;

    bench_write(bench, "f", "1");
    g_assert_cmpuint(bench->visible, >, before);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cfs/core/alone/survives", test_survives);
    g_test_add_func("/cfs/core/alone/disk-fails", test_disk_fails);
    g_test_add_func("/cfs/core/alone/no-quorum", test_no_quorum);
    g_test_add_func("/cfs/core/alone/visible", test_visible_before_answer);
    return g_test_run();
}
