#include "ha/core/proof.h"

static HaRun
record(HaGeneration guard)
{
    return (HaRun){
        .node = (char *)"node1", .boot = (char *)"boot-1", .start_id = (char *)"s1", .guard = guard
    };
}

/* S34, case by case; what is not listed there proves nothing. */
static void
test_cases(void)
{
    HaRun guarded = record((HaGeneration){ 3, 7 }), bare = record((HaGeneration){ 0, 0 });
    HaRun off = guarded, stated = bare;
    off.power_off = true;
    stated.stated_dead = true;
    HaLeaseView same = { HA_LEASE_HELD, (char *)"node1", (char *)"boot-1", { 3, 7 } };
    HaLeaseView later = { HA_LEASE_FENCED, (char *)"", (char *)"", { 3, 8 } };
    HaLeaseView earlier = { HA_LEASE_FREE, (char *)"", (char *)"", { 2, 99 } };
    /* clang-format off */
    const struct { const char *what; const HaRun *run; const HaLeaseView *lease; const char *boot; HaProof proof; } cases[] = {
        { "no record",                          NULL,     &later,   NULL,     HA_DEAD_NO_RECORD },
        { "guard below the lease's generation", &guarded, &later,   NULL,     HA_DEAD_GUARD },
        { "guard at it",                        &guarded, &same,    NULL,     HA_ALIVE },
        { "guard above it",                     &guarded, &earlier, NULL,     HA_ALIVE },
        { "no lease known",                     &guarded, NULL,     NULL,     HA_ALIVE },
        { "unguarded, lease lapsed",            &bare,    &later,   NULL,     HA_ALIVE },
        { "unguarded, no lease",                &bare,    NULL,     NULL,     HA_ALIVE },
        { "its node under another boot",        &bare,    &later,   "boot-2", HA_DEAD_OTHER_BOOT },
        { "its node under this boot",           &bare,    &later,   "boot-1", HA_ALIVE },
        { "power off",                          &off,     &same,    "boot-1", HA_DEAD_POWER },
        { "stated",                             &stated,  NULL,     NULL,     HA_DEAD_STATED },
    };
    /* clang-format on */

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].what);
        g_assert_cmpint(ha_proof_of_death(cases[i].run, cases[i].lease, cases[i].boot), ==,
                        cases[i].proof);
        g_assert_nonnull(ha_proof_text(cases[i].proof));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/proof/cases", test_cases);
    return g_test_run();
}
