#include "bench.h"

/* Leases and records on one node: generations, conditions on them, and the proofs of S34. */

static UpdateResult
take(Bench *bench, const char *name)
{
    return bench_lease(
        bench,
        &(LeaseOp){
            .kind = LEASE_TAKE, .name = name, .process = "p", .hold_ms = 4000, .lapse_ms = 8000 });
}

static UpdateResult
lease_call(Bench *bench, LeaseOpKind kind, const char *name, Generation generation)
{
    return bench_lease(bench, &(LeaseOp){ .kind = kind,
                                          .name = name,
                                          .generation = generation,
                                          .sent_ms = bench->now_ms });
}

/* S18: every grant has a generation above all before it, also after a restart. */
static void
test_generations_rise(void)
{
    g_autoptr(Bench) bench = bench_new(true);
    Generation last = { 0 };

    for (int i = 0; i < 6; i++) {
        UpdateResult result = take(bench, "ha_manager_lock");
        g_assert_cmpint(result.code, ==, UPDATE_DONE);
        g_assert_cmpint(generation_compare(result.generation, last), >, 0);
        if (i % 2 == 1)
            g_assert_cmpint(
                lease_call(bench, LEASE_RELEASE, "ha_manager_lock", result.generation).code, ==,
                UPDATE_DONE);
        last = result.generation;
        if (i == 3)
            bench_restart(bench);
    }
}

static void
test_renew(void)
{
    g_autoptr(Bench) bench = bench_new(true);
    Generation generation = take(bench, "ha_manager_lock").generation;

    UpdateResult heard = lease_call(bench, LEASE_RENEW, "ha_manager_lock", generation);
    g_assert_cmpint(heard.code, ==, UPDATE_DONE);
    bench->now_ms += 4001; /* S20: K has passed since; nothing brings it back */
    g_assert_cmpint(lease_call(bench, LEASE_RENEW, "ha_manager_lock", generation).code, ==,
                    UPDATE_OVER);
    Generation wrong = { generation.epoch, generation.sequence + 1 };
    g_assert_cmpint(lease_call(bench, LEASE_RENEW, "ha_manager_lock", wrong).code, ==, UPDATE_OVER);
    g_assert_cmpint(lease_call(bench, LEASE_RELEASE, "ha_manager_lock", wrong).code, ==,
                    UPDATE_OVER);
}

/* Another's lease that was never held is fenced by taking it; only giving it back frees it. */
static void
test_fenced(void)
{
    g_autoptr(Bench) bench = bench_new(true);
    Generation fence = take(bench, "ha_agent_node2_lock").generation;
    LeaseView view;

    g_assert_true(replica_lease(bench->replica, "ha_agent_node2_lock", &(Clocks){ 0 }, &view));
    g_assert_cmpint(view.state, ==, LEASE_FENCED);
    g_assert_cmpint(take(bench, "ha_agent_node2_lock").code, ==, UPDATE_HELD);

    Update *update = update_new();
    update_if_fenced(update, "node2", fence);
    update_off(update, "node2", "boot-2", fence, 0, OFF_RUNNING);
    g_assert_cmpint(bench_update(bench, update).code, ==, UPDATE_DONE);
    for (int i = 0; i < 2; i++) { /* S36: not while the fence run lives */
        update = update_new();
        update_lease_give(update, "node2");
        g_assert_cmpint(bench_update(bench, update).code, ==, i == 0 ? UPDATE_HELD : UPDATE_DONE);
        update = update_new();
        update_off(update, "node2", "boot-2", fence, 0, OFF_DONE);
        g_assert_cmpint(bench_update(bench, update).code, ==, UPDATE_DONE);
    }
}

static bool
is_dead(Bench *bench)
{
    RunView view;

    g_assert_true(replica_run(bench->replica, 100, &view));
    return view.dead;
}

static void
run_on(Bench *bench, const char *start_id, Generation guard, UpdateCode expected)
{
    Update *update = update_new();

    update_run(update, 100, "node2", "boot-2", start_id, guard);
    g_assert_cmpint(bench_update(bench, update).code, ==, expected);
}

/* S34, each proof alone; and no live record is ever written over. */
static void
test_proofs(void)
{
    g_autoptr(Bench) bench = bench_new(true);
    Update *update;

    run_on(bench, "s1", (Generation){ 0 }, UPDATE_DONE);
    g_assert_false(is_dead(bench));
    run_on(bench, "s2", (Generation){ 0 }, UPDATE_EXISTS);

    update = update_new();
    update_dead(update, 100, "the host was scrapped");
    g_assert_cmpint(bench_update(bench, update).code, ==, UPDATE_DONE);
    g_assert_true(is_dead(bench));
    run_on(bench, "s2", (Generation){ 0 }, UPDATE_DONE); /* the word was about s1 */
    g_assert_false(is_dead(bench));

    Generation fence = take(bench, "ha_agent_node2_lock").generation;
    g_assert_false(is_dead(bench)); /* unguarded: a newer generation proves nothing */
    update = update_new();
    update_guard(update, 100, (Generation){ fence.epoch, fence.sequence - 1 });
    g_assert_cmpint(bench_update(bench, update).code, ==, UPDATE_DONE);
    g_assert_true(is_dead(bench));
    update = update_new();
    update_guard(update, 100, fence);
    bench_update(bench, update);
    g_assert_false(is_dead(bench));

    update = update_new();
    update_off(update, "node2", "boot-2", fence, 0, OFF_DONE);
    bench_update(bench, update);
    g_assert_true(is_dead(bench));
    update = update_new();
    update_off(update, "node2", "boot-3", fence, 0, OFF_DONE);
    bench_update(bench, update);
    g_assert_false(is_dead(bench)); /* of another boot */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cfs/core/records/generations", test_generations_rise);
    g_test_add_func("/cfs/core/records/renew", test_renew);
    g_test_add_func("/cfs/core/records/fenced", test_fenced);
    g_test_add_func("/cfs/core/records/proofs", test_proofs);
    return g_test_run();
}
