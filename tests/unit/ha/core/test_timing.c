#include <string.h>
#include "ha/core/timing.h"

/* The rows of S38's table, as computed from the number of nodes and the device. */
static void
test_table(void)
{
    /* clang-format off */
    static const struct {
        const char *profile; int nodes, g, r;
        int t, m, a, k, w, h, l;
    } rows[] = {
        { "fast",   2,  -1,   -1, 1000, 2250, 100, 4000, 6000, 4000,  8000 },
        { "fast",   8,  -1,   -1, 1000, 2250, 100, 4000, 6000, 4000,  8000 },
        { "steady", 3,  -1,   -1, 1000, 2250, 100, 5000, 7000, 5000,  9000 },
        { "fast",   3,   0,  200, 1000, 2250, 100, 4000, 5000, 4000,  6000 },
        { "fast",  16,  -1,   -1, 1500, 3350, 150, 5250, 7250, 5000,  9000 },
        { "fast",  32,  -1,   -1, 2500, 5550, 200, 7500, 9500, 7000, 11500 },
    };
    /* clang-format on */

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        HaTimingFacts facts = { rows[i].nodes, rows[i].g, rows[i].r, 0 };
        HaTiming timing;
        g_test_message("%s, %d nodes, g %d", rows[i].profile, rows[i].nodes, rows[i].g);
        g_assert_true(ha_timing(rows[i].profile, &facts, &timing, NULL));
        g_assert_cmpint(timing.token_ms, ==, rows[i].t);
        g_assert_cmpint(timing.membership_ms, ==, rows[i].m);
        g_assert_cmpint(timing.heard_ms, ==, rows[i].a);
        g_assert_cmpint(timing.local_end_ms, ==, rows[i].k);
        g_assert_cmpint(timing.fires_ms, ==, rows[i].w);
        g_assert_cmpint(timing.device_ms, ==, rows[i].h);
        g_assert_cmpint(timing.lapse_ms, ==, rows[i].l);
    }
}

/* Each inequality, broken by one number, is the one that is named. */
static void
test_refused(void)
{
    HaTiming good, bad[5];
    g_assert_true(ha_timing("fast", NULL, &good, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        bad[i] = good;
    bad[0].lapse_ms = 7500;
    bad[1].slack_ms = 900;
    bad[2].local_end_ms = 4250;
    bad[3].device_ms = 5000;
    bad[4].membership_ms = 8000;
    bad[4].local_end_ms = 9750;
    bad[4].fires_ms = 11750;
    bad[4].lapse_ms = 13500;
    bad[4].membership_ms = 8000;
    bad[4].token_ms = 3600;

    for (int i = 0; i < 4; i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *named = g_strdup_printf("inequality (%d)", i + 1);
        g_assert_false(ha_timing_check(&bad[i], &error));
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, named));
    }
    g_assert_true(ha_timing_check(&bad[4], NULL));
    /* (5) alone can only fail where K does not follow M. */
    bad[4].slack_ms = 1000;
    bad[4].membership_ms = 13400;
    g_autoptr(GError) error = NULL;
    g_assert_false(ha_timing_check(&bad[4], &error));
}

static void
test_profiles(void)
{
    HaTiming timing;
    HaTimingFacts coarse = { 3, 2000, -1, 0 }, qdevice = { 3, -1, -1, 30000 };
    g_autoptr(GError) error = NULL;

    g_assert_true(ha_timing("classic", NULL, &timing, NULL));
    g_assert_true(timing.classic);
    g_assert_cmpint(timing.lapse_ms, ==, 120000);
    g_assert_false(ha_timing("quick", NULL, &timing, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    g_assert_false(ha_timing("fast", &coarse, &timing, NULL));
    g_assert_false(ha_timing("fast", &qdevice, &timing, NULL));
}

/* S24: elapsed is what the faster clock says. */
static void
test_clocks(void)
{
    HaTime then = { 1000, 5000 }, slewed = { 1500, 6000 };

    g_assert_cmpint(ha_elapsed_ms(then, slewed), ==, 1000);
    g_assert_cmpint(ha_elapsed_ms(slewed, then), ==, -500);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/timing/table", test_table);
    g_test_add_func("/ha/core/timing/refused", test_refused);
    g_test_add_func("/ha/core/timing/profiles", test_profiles);
    g_test_add_func("/ha/core/timing/clocks", test_clocks);
    return g_test_run();
}
