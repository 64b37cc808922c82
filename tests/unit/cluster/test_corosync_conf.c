#include "cluster/corosync_conf.h"
#include <string.h>

static char *
golden(const char *name)
{
    g_autofree char *path =
        g_build_filename(g_getenv("QUORATE_SOURCE"), "tests/unit/cluster/golden", name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static void
is_golden(const CorosyncConf *conf, const char *name)
{
    g_autofree char *expected = golden(name), *text = corosync_conf_text(conf);

    g_assert_cmpstr(text, ==, expected);
}

static CorosyncConf *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    CorosyncConf *conf = corosync_conf_parse(text, &error);

    g_assert_no_error(error);
    return conf;
}

static void
add(CorosyncConf *conf, const CorosyncNode *node)
{
    g_autoptr(GError) error = NULL;

    corosync_conf_add_node(conf, node, false, NULL, &error);
    g_assert_no_error(error);
    corosync_conf_bump(conf);
    corosync_conf_check(conf, NULL, &error);
    g_assert_no_error(error);
}

static void
test_create(void)
{
    char addr[] = "10.0.0.1";
    CorosyncLink links[COROSYNC_LINKS] = { { .addr = addr } };
    CorosyncConfNew options = {
        .cluster_name = "lab", .node = "n1", .votes = 1, .token_coefficient = 125, .links = links
    };
    g_autoptr(CorosyncConf) one = corosync_conf_new(&options);
    is_golden(one, "one.conf");

    options.token_ms = 1000;
    options.token_coefficient = 0;
    g_autoptr(CorosyncConf) three = corosync_conf_new(&options);
    add(three, &(CorosyncNode){ .name = "n3", .addr = { "10.0.0.3" } });
    add(three, &(CorosyncNode){ .name = "n2", .votes = 1, .addr = { "10.0.0.2" } });
    is_golden(three, "three.conf");
}

static void
test_links(void)
{
    g_autoptr(GError) error = NULL;
    CorosyncLink links[COROSYNC_LINKS] = { 0 };
    CorosyncConfNew options = { .cluster_name = "lab-6",
                                .node = "n1",
                                .node_id = 7,
                                .votes = 2,
                                .token_ms = 1000,
                                .links = links };

    g_assert_true(corosync_link_parse("fd00:1::1", &links[0], &error));
    g_assert_true(corosync_link_parse("address=10.1.0.1,priority=20", &links[1], &error));
    g_assert_no_error(error);
    g_autoptr(CorosyncConf) conf = corosync_conf_new(&options);
    add(conf, &(CorosyncNode){ .name = "n2", .votes = 1, .addr = { "fd00:1::2", "10.1.0.2" } });
    is_golden(conf, "links.conf");
    corosync_links_clear(links);

    static const char *const bad[] = {
        "",        ",priority=1", "a,priority=256", "a,priority=x", "a,b",
        "a,mtu=1", "a b",         "a\n}",           "priority="
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) why = NULL;
        g_test_message("'%s'", bad[i]);
        g_assert_false(corosync_link_parse(bad[i], &links[0], &why));
        g_assert_error(why, Q_ERROR, Q_ERROR_INVALID);
        g_assert_null(links[0].addr);
    }
}

/* What we do not know survives; printing what was printed changes nothing. */
static void
test_rewrite(void)
{
    static const char *const names[] = { "one.conf", "three.conf", "links.conf", "foreign.conf" };
    g_autofree char *text = golden("foreign.in");
    g_autoptr(CorosyncConf) foreign = parse(text);
    g_autoptr(GPtrArray) warnings = NULL;
    g_autoptr(GError) error = NULL;
    CorosyncNode node;

    is_golden(foreign, "foreign.conf");
    g_assert_true(corosync_conf_check(foreign, &warnings, &error));
    g_assert_cmpuint(warnings->len, ==, 0);
    g_assert_true(corosync_conf_node(foreign, "10.1.0.2", &node));
    g_assert_cmpstr(node.name, ==, "b");
    g_assert_cmpuint(node.votes, ==, 1);
    g_assert_cmpint(corosync_conf_version(foreign), ==, 7);
    g_assert_cmpint(corosync_conf_token_ms(foreign), ==, 3000);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *printed = golden(names[i]);
        g_autoptr(CorosyncConf) conf = parse(printed);
        g_autoptr(CorosyncConf) copy = corosync_conf_copy(conf);
        is_golden(copy, names[i]);
    }
}

static void
test_syntax(void)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "}", "corosync.conf, line 1: '}' without a block" },
        { "totem {\n", "corosync.conf: a block is not closed at the end" },
        { "quorum { provider: x }",
          "corosync.conf, line 1: expected 'KEY: VALUE', 'BLOCK {' or '}'" },
        { "a {\nword\n}", "corosync.conf, line 2: expected 'KEY: VALUE', 'BLOCK {' or '}'" },
        { "{\n}", "corosync.conf, line 1: expected 'BLOCK {'" },
        { ": x", "corosync.conf, line 1: expected 'KEY: VALUE', 'BLOCK {' or '}'" },
        { "a{\na{\na{\na{\na{\na{\na{\na{\n", "corosync.conf, line 8: blocks nest too deep" },
        { "\xff", "corosync.conf is not UTF-8 text" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(corosync_conf_parse(cases[i].text, &error));
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
        g_assert_cmpstr(error->message, ==, cases[i].why);
    }
}

/* Each row spoils links.conf in one place. */
static void
test_check(void)
{
    static const struct {
        const char *from, *to, *why;
    } cases[] = {
        { "version: 2\n", "version: 1\n", "totem: version must be 2" },
        { "config_version: 2", "config_version: 0",
          "totem: config_version must be a number from 1" },
        { "config_version: 2", "config_version: -1",
          "totem: config_version must be a number from 1" },
        { "cluster_name: lab-6", "x: y", "totem: cluster_name is missing" },
        { "token: 1000", "token: fast", "totem: token 'fast' is no number from 1" },
        { "corosync_votequorum", "other", "quorum: provider must be corosync_votequorum" },
        { "nodeid: 7", "nodeid: 0", "node 'n1': nodeid must be a number from 1" },
        { "nodeid: 7", "nodeid: 1", "nodes 'n1' and 'n2' have the same nodeid 1" },
        { "name: n2", "name: n1", "node 'n1' is listed twice" },
        { "name: n2", "name: n_2", "nodelist: 'n_2' is no valid node name" },
        { "quorum_votes: 2", "quorum_votes: many", "node 'n1': quorum_votes 'many' is no number" },
        { "    ring1_addr: 10.1.0.2\n", "",
          "link 1: node 'n2' has no address on it, node 'n1' has" },
        { "ring1_addr: 10.1.0.2", "ring1_addr: 10.1.0.1",
          "address '10.1.0.1' is used by nodes 'n1' and 'n2'" },
        { "linknumber: 1", "linknumber: 2",
          "link 1 has addresses but no interface block; link 2 has an interface block but no "
          "addresses" },
        { "linknumber: 1", "linknumber: 8",
          "interface: linknumber '8' is not 0..7; "
          "link 1 has addresses but no interface block" },
        { "priority: 20", "priority: 300", "interface: knet_link_priority '300' is not 0..255" },
    };
    g_autofree char *good = golden("links.conf");

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *why = g_strconcat("invalid corosync.conf: ", cases[i].why, NULL);
        const char *at = strstr(good, cases[i].from);
        g_assert_nonnull(at);
        /* "version: 2" is also the end of config_version's line: take the last. */
        if (g_str_has_prefix(cases[i].from, "version"))
            at = g_strrstr(good, cases[i].from);
        g_autofree char *head = g_strndup(good, at - good);
        g_autofree char *bad = g_strconcat(head, cases[i].to, at + strlen(cases[i].from), NULL);
        g_autoptr(CorosyncConf) conf = parse(bad);
        g_assert_false(corosync_conf_check(conf, NULL, &error));
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
        g_assert_cmpstr(error->message, ==, why);
    }
}

static void
test_change(void)
{
    g_autofree char *three = golden("three.conf"), *one = golden("one.conf");
    g_autoptr(CorosyncConf) conf = parse(three), fresh = NULL;
    g_autoptr(GError) error = NULL;

    corosync_conf_set_votes(conf, "n3", 1);
    g_autofree char *same = corosync_conf_text(conf);
    g_assert_false(corosync_conf_check_change(three, same, "n1", NULL, &error));
    g_assert_cmpstr(error->message, ==,
                    "corosync.conf: config_version 3 is not higher than the present 3");
    g_clear_error(&error);

    corosync_conf_bump(conf);
    g_autofree char *next = corosync_conf_text(conf);
    g_assert_true(corosync_conf_check_change(three, next, "n1", &fresh, &error));
    g_assert_cmpint(corosync_conf_version(fresh), ==, 4);
    g_assert_true(corosync_conf_check_change(NULL, one, NULL, NULL, &error));
    g_assert_true(corosync_conf_check_change("broken {", next, "n1", NULL, &error));
    g_assert_no_error(error);
    g_assert_false(corosync_conf_check_change(three, next, "n4", NULL, &error));
    g_assert_cmpstr(error->message, ==, "corosync.conf: this node, 'n4', is not in it");
    g_clear_error(&error);

    corosync_conf_remove_node(conf, "n3");
    corosync_conf_bump(conf);
    g_assert_true(corosync_conf_add_node(
        conf, &(CorosyncNode){ .name = "n4", .id = 2, .addr = { "10.0.0.4" } }, false, NULL,
        &error));
    g_autofree char *swapped = corosync_conf_text(conf);
    g_assert_false(corosync_conf_check_change(next, swapped, "n1", NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    g_clear_error(&error);

    corosync_conf_set(conf, "totem", "cluster_name", "other");
    g_autofree char *renamed = corosync_conf_text(conf);
    g_assert_false(corosync_conf_check_change(next, renamed, "n1", NULL, &error));
    g_assert_cmpstr(error->message, ==, "corosync.conf: cluster_name 'lab' cannot become 'other'");
}

static void
test_add(void)
{
    static const struct {
        CorosyncNode node;
        const char *fallback;
        bool force;
        const char *why; /* NULL: taken */
    } cases[] = {
        { { .name = "n4", .addr = { "10.0.0.2" } },
          NULL,
          false,
          "corosync: address '10.0.0.2' already used on link ring0_addr by node 'n2'" },
        { { .name = "n4", .addr = { "10.0.0.4", "10.1.0.4" } },
          NULL,
          false,
          "corosync: link 1 specified for new node doesn't exist in cluster config" },
        { { .name = "n4", .addr = { [1] = "10.1.0.4" } },
          NULL,
          false,
          "corosync: link 0 exists in cluster config but wasn't specified for new node" },
        { { .name = "n2", .addr = { "10.0.0.2" } }, NULL, false, "can't add existing node 'n2'" },
        { { .name = "n2", .votes = 0, .addr = { "10.0.0.2" } },
          NULL,
          true,
          "can't add existing node 'n2': its entry has nodeid 3 and 1 votes" },
        { { .name = "n2", .votes = 1, .addr = { "10.0.0.9" } }, NULL, true, NULL },
        { { .name = "n4", .id = 3 }, "10.0.0.4", false, "nodeid 3 is already used by node 'n2'" },
        { { .name = "n4" }, "10.0.0.4", false, NULL },
        { { .name = "n4" },
          NULL,
          false,
          "no links given: one of 'link0' and 'new_node_ip' is needed" },
    };
    g_autofree char *three = golden("three.conf"), *links = golden("links.conf");

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(CorosyncConf) conf = parse(three);
        g_autoptr(GError) error = NULL;
        bool taken =
            corosync_conf_add_node(conf, &cases[i].node, cases[i].force, cases[i].fallback, &error);
        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, cases[i].why);
        g_assert_cmpint(taken, ==, cases[i].why == NULL);
    }

    g_autoptr(CorosyncConf) conf = parse(links);
    g_autoptr(GError) error = NULL;
    g_assert_false(
        corosync_conf_add_node(conf, &(CorosyncNode){ .name = "n3" }, false, "10.0.0.3", &error));
    g_assert_true(
        g_str_has_prefix(error->message, "no links given but multiple links found on other nodes"));
}

static void
test_lowest_free_id(void)
{
    g_autofree char *three = golden("three.conf");
    g_autoptr(CorosyncConf) conf = parse(three);
    CorosyncNode node;

    add(conf, &(CorosyncNode){ .name = "a4", .addr = { "10.0.0.4" } });
    g_assert_true(corosync_conf_node(conf, "a4", &node));
    g_assert_cmpuint(node.id, ==, 4);
    g_assert_true(corosync_conf_remove_node(conf, "n3"));
    g_assert_false(corosync_conf_remove_node(conf, "n3"));
    add(conf, &(CorosyncNode){ .name = "a5", .addr = { "10.0.0.5" } });
    g_assert_true(corosync_conf_node(conf, "a5", &node));
    g_assert_cmpuint(node.id, ==, 2);
}

static void
test_names(void)
{
    g_assert_true(corosync_node_name_ok("Node-1"));
    g_assert_true(corosync_cluster_name_ok("123456789012345"));
    g_assert_false(corosync_cluster_name_ok("1234567890123456"));
    static const char *const bad[] = { "", "-a", "a-", "a.b", "a_b", "a b", "ä" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(corosync_node_name_ok(bad[i]));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cluster/corosync_conf/create", test_create);
    g_test_add_func("/cluster/corosync_conf/links", test_links);
    g_test_add_func("/cluster/corosync_conf/rewrite", test_rewrite);
    g_test_add_func("/cluster/corosync_conf/syntax", test_syntax);
    g_test_add_func("/cluster/corosync_conf/check", test_check);
    g_test_add_func("/cluster/corosync_conf/change", test_change);
    g_test_add_func("/cluster/corosync_conf/add", test_add);
    g_test_add_func("/cluster/corosync_conf/lowest-free-id", test_lowest_free_id);
    g_test_add_func("/cluster/corosync_conf/names", test_names);
    return g_test_run();
}
