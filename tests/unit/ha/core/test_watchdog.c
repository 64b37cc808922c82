#include "ha/core/watchdog.h"

static const HaGeneration first = { 1, 5 }, second = { 1, 9 };

static HaTime
at(int64_t ms)
{
    return (HaTime){ ms, ms };
}

/* S27: fed while now + H + g is not past the deadline, on either clock. */
static void
test_feeding(void)
{
    g_autoptr(Watchdog) watchdog = watchdog_new(4000, 1000, NULL, false);

    g_assert_false(watchdog_may_feed(watchdog, at(0)));
    g_assert_true(watchdog_arm(watchdog, NULL));
    g_assert_true(watchdog_may_feed(watchdog, at(0)));
    g_assert_true(watchdog_promise(watchdog, first, at(6000), at(0), NULL));
    g_assert_true(watchdog_may_feed(watchdog, at(1000)));
    g_assert_false(watchdog_may_feed(watchdog, at(1001)));
    g_assert_false(watchdog_may_feed(watchdog, (HaTime){ 900, 1100 }));
    g_assert_true(watchdog_promise(watchdog, first, at(6500), at(1001), NULL));
    g_assert_true(watchdog_may_feed(watchdog, at(1500)));
    /* An earlier one that comes late takes nothing back. */
    g_assert_true(watchdog_promise(watchdog, first, at(6000), at(1002), NULL));
    g_assert_true(watchdog_may_feed(watchdog, at(1500)));
}

/* The earliest of several owners rules; each closes its own. */
static void
test_owners(void)
{
    g_autoptr(Watchdog) watchdog = watchdog_new(4000, 0, NULL, false);
    HaGeneration owner;
    HaTime deadline;
    bool device_too = true;

    g_assert_true(watchdog_arm(watchdog, NULL));
    g_assert_true(watchdog_promise(watchdog, first, at(5000), at(0), NULL));
    g_assert_true(watchdog_promise(watchdog, second, at(9000), at(0), NULL));
    g_assert_false(watchdog_may_feed(watchdog, at(2000)));
    g_assert_true(watchdog_deadline(watchdog, (HaGeneration){ 0, 0 }, &owner, &deadline));
    g_assert_cmpint(ha_generation_compare(owner, first), ==, 0);
    g_assert_false(watchdog_close(watchdog, (HaGeneration){ 7, 7 }, &device_too, NULL));
    g_assert_true(watchdog_close(watchdog, first, &device_too, NULL));
    g_assert_false(device_too);
    g_assert_true(watchdog_may_feed(watchdog, at(2000)));
    g_assert_true(watchdog_close(watchdog, second, &device_too, NULL));
    g_assert_true(device_too);
    g_assert_false(watchdog_armed(watchdog));
}

/* S28: what it kept it still knows; over a device that it knows nothing about it never feeds. */
static void
test_restart(void)
{
    g_autoptr(Watchdog) before = watchdog_new(4000, 1000, NULL, false);
    g_autoptr(GError) error = NULL;

    g_assert_true(watchdog_arm(before, NULL));
    g_assert_true(watchdog_promise(before, first, at(6000), at(0), NULL));
    g_autofree char *text = watchdog_text(before);
    g_autoptr(Watchdog) again = watchdog_new(4000, 1000, text, true);
    g_assert_true(watchdog_may_feed(again, at(1000)));
    g_assert_false(watchdog_may_feed(again, at(1001)));

    static const char *const files[] = { NULL, "", "armed\n1.5 60", "armed\nnonsense\n" };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autoptr(Watchdog) strange = watchdog_new(4000, 1000, files[i], true);
        g_assert_false(watchdog_may_feed(strange, at(0)));
        g_assert_false(watchdog_arm(strange, NULL));
    }
    g_assert_false(watchdog_promise(again, first, at(9000), at(6000), &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_TIMEOUT);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/watchdog/feeding", test_feeding);
    g_test_add_func("/ha/core/watchdog/owners", test_owners);
    g_test_add_func("/ha/core/watchdog/restart", test_restart);
    return g_test_run();
}
