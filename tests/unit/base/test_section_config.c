#include "base/section_config.h"

static const char sample[] = "# ours\n"
                             "dir: local\n"
                             "\tpath /var/lib/vz\n"
                             "\tshared\n"
                             "\tsome-future-key a b  c\n"
                             "\n"
                             "mystery: x\n"
                             "\tkey value\n"
                             "\n";

static void
test_keeps_everything(void)
{
    g_autoptr(QSectionConfig) config = q_section_config_parse(sample);
    g_autofree char *text = q_section_config_text(config);
    g_autoptr(QSectionConfig) again = q_section_config_parse(text);
    g_autofree char *text_again = q_section_config_text(again);

    g_assert_cmpstr(
        text, ==,
        "# ours\ndir: local\n\tpath /var/lib/vz\n\tshared 1\n\tsome-future-key a b  c\n\n"
        "mystery: x\n\tkey value\n\n");
    g_assert_cmpstr(text, ==, text_again);
    g_assert_cmpint(q_section_config_warnings(config)->len, ==, 0);
}

static void
test_change(void)
{
    g_autoptr(QSectionConfig) config = q_section_config_parse(sample);
    QSection *local = q_section_config_find(config, "local");
    g_autoptr(GError) error = NULL;

    g_assert_true(q_section_get_bool(local, "shared", false));
    q_section_set(local, "shared", NULL);
    q_section_set(local, "path", "/srv");
    g_assert_false(q_section_get_bool(local, "shared", false));
    g_assert_cmpstr(q_section_get(local, "path", NULL), ==, "/srv");
    g_assert_null(q_section_config_add(config, "dir", "local", &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_EXISTS);
    g_assert_true(q_section_config_remove(config, "mystery") == false);
    g_assert_true(q_section_config_remove(config, "x"));
    g_assert_cmpint(q_section_config_sections(config)->len, ==, 1);
}

static void
test_warnings(void)
{
    static const char *const cases[] = { "no header\n",   "\tkey value\n",   ": id\n",
                                         "type:\n",       "a: b\n\n a: b\n", "a: b\n\tk 1\n\tk 2\n",
                                         "a: b\n\na: b\n" };
    static const int warnings[] = { 1, 1, 1, 1, 0, 1, 1 };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i]);
        g_autoptr(QSectionConfig) config = q_section_config_parse(cases[i]);
        g_assert_cmpint(q_section_config_warnings(config)->len, ==, warnings[i]);
    }
}

static void
test_lists(void)
{
    g_auto(GStrv) list = q_split_list("a, b;;c\n d");

    g_assert_cmpint(g_strv_length(list), ==, 4);
    g_assert_cmpstr(list[3], ==, "d");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/section-config/keeps-everything", test_keeps_everything);
    g_test_add_func("/section-config/change", test_change);
    g_test_add_func("/section-config/warnings", test_warnings);
    g_test_add_func("/section-config/lists", test_lists);
    return g_test_run();
}
