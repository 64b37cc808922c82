#include "ha/core/fence.h"

static void
test_quoting(void)
{
    g_autoptr(HaFenceConfig) config =
        ha_fence_parse("device d fence_x ip=10.0.0.1 password=\"it's 5\" o=on ssh v\nconnect d "
                       "node=node1 plug=3\n");
    g_autoptr(GPtrArray) commands = ha_fence_commands(config, "node1", 0);
    g_autoptr(GPtrArray) nothing = ha_fence_commands(config, "node1", 1);
    g_autoptr(GPtrArray) unknown = ha_fence_commands(config, "node2", 0);

    g_assert_cmpuint(ha_fence_problems(config)->len, ==, 0);
    g_assert_cmpuint(commands->len, ==, 1);
    g_assert_cmpstr(commands->pdata[0], ==,
                    "fence_x --ip=10.0.0.1 --password='it'\\''s 5' -o on --ssh -v --plug=3");
    g_assert_cmpuint(nothing->len, ==, 0);
    g_assert_cmpuint(unknown->len, ==, 0);
}

static void
test_problems(void)
{
    g_autoptr(HaFenceConfig) config =
        ha_fence_parse("# a comment\n\ndevice d\nconnect e node=node1\nconnect d plug=1\n"
                       "odd line\ndevice \"open\n");
    GPtrArray *problems = ha_fence_problems(config);
    static const int lines[] = { 3, 4, 5, 6, 7 };

    g_assert_cmpuint(problems->len, ==, G_N_ELEMENTS(lines));
    for (guint i = 0; i < problems->len; i++)
        g_assert_cmpint(((HaFenceProblem *)problems->pdata[i])->line, ==, lines[i]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/core/fence/quoting", test_quoting);
    g_test_add_func("/ha/core/fence/problems", test_problems);
    return g_test_run();
}
