#include <string.h>
#include "access/core/roles.h"
#include "access/core/ticket.h"
#include "access/core/user_cfg.h"

/* ------------------------------------------------------------------ roles */

static void
test_role_sizes(void)
{
    static const struct {
        const char *role;
        guint count;
    } cases[] = {
        { "Administrator", 47 }, { "NoAccess", 0 },          { "PVEAdmin", 40 },
        { "PVEAuditor", 7 },     { "PVETemplateUser", 2 },   { "PVEVMAdmin", 23 },
        { "PVESysAdmin", 3 },    { "PVEDatastoreAdmin", 4 }, { "PVESDNAdmin", 3 },
        { "PVEUserAdmin", 3 },   { "PVEPoolAdmin", 2 },      { "PVEMappingAdmin", 3 },
        { "PVEVMUser", 10 },     { "PVEDatastoreUser", 2 },  { "PVESDNUser", 2 },
        { "PVEPoolUser", 1 },    { "PVEMappingUser", 2 },
    };
    g_auto(GStrv) all = access_builtin_roles();

    g_assert_cmpuint(g_strv_length(all), ==, G_N_ELEMENTS(cases));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].role);
        g_auto(GStrv) privileges = access_builtin_role(cases[i].role);
        g_assert_cmpuint(g_strv_length(privileges), ==, cases[i].count);
    }
    g_assert_null(access_builtin_role("PVENothing"));
}

/* ------------------------------------------------------------------ user.cfg */

static const char *const file = "user:ada@pve:1:0:Ada:L:ada@example.org:on%3Acall:x:\n"
                                "token:ada@pve!ci:1893456000:1:build machine:\n"
                                "user:bob@pam:0:0::::::\n"
                                "user:old@pve:1:1000::::::\n"
                                "user:root@pam:1:0::::::\n"
                                "\n"
                                "group:ops:ada@pve,bob@pam:operators:\n"
                                "\n"
                                "pool:lab:test guests:100,101:nas:\n"
                                "\n"
                                "role:Restarter:VM.Audit,VM.PowerMgmt:\n"
                                "\n"
                                "acl:1:/:@ops:PVEAuditor:\n"
                                "acl:1:/vms:@ops:Restarter:\n"
                                "acl:0:/vms/200:ada@pve:PVEVMUser:\n"
                                "acl:1:/vms/300:ada@pve:NoAccess:\n"
                                "acl:1:/pool/lab:ada@pve:PVEVMAdmin:\n"
                                "acl:1:/vms:ada@pve!ci:PVEVMAdmin:\n";

static void
test_round_trip(void)
{
    g_autoptr(UserCfg) cfg = user_cfg_parse(file);
    g_autofree char *text = user_cfg_text(cfg);
    g_autoptr(UserCfg) again = user_cfg_parse(text);
    g_autofree char *second = user_cfg_text(again);
    const AccessUser *ada = g_hash_table_lookup(cfg->users, "ada@pve");

    g_assert_cmpstr(ada->comment, ==, "on:call");
    g_assert_cmpstr(text, ==, second);
    g_assert_cmpuint(cfg->strange->len, ==, 0);
    g_assert_nonnull(strstr(text, "user:ada@pve:1:0:Ada:L:ada@example.org:on%3Acall:x:\n"
                                  "token:ada@pve!ci:1893456000:1:build machine:\n"));
    g_assert_nonnull(strstr(text, "acl:1:/pool/lab:ada@pve:PVEVMAdmin:\n"));
}

/* What a later version wrote stays there. */
static void
test_strange_lines(void)
{
    g_autoptr(UserCfg) cfg =
        user_cfg_parse("user:a@b:1:0::::::\nwhat:is:this:\nuser:malformed:1:\n");
    g_autofree char *text = user_cfg_text(cfg);

    g_assert_cmpuint(cfg->strange->len, ==, 3);
    g_assert_nonnull(strstr(text, "what:is:this:\n"));
    g_assert_nonnull(g_hash_table_lookup(cfg->users, ACCESS_ROOT));
}

static void
test_rules(void)
{
    static const struct {
        const char *subject, *path, *privilege;
        bool holds;
    } cases[] = {
        { "root@pam", "/vms/1", "VM.Config.Disk", true },
        { "root@pam!ci", "/", "Sys.Audit", false }, /* a token of root is not root */
        { "ada@pve", "/", "Sys.Audit", true },      /* by her group */
        { "ada@pve", "/nodes/n1", "Sys.Audit", true },
        { "ada@pve", "/vms/100", "VM.PowerMgmt", true }, /* by group, deeper */
        { "ada@pve", "/vms/1", "VM.PowerMgmt", true },
        { "ada@pve", "/vms/1", "Sys.Audit", false }, /* the deeper level replaces */
        { "ada@pve", "/vms/200", "VM.Console", true },
        { "ada@pve", "/vms/200/x", "VM.Console", false },  /* not propagating */
        { "ada@pve", "/vms/300", "VM.Audit", false },      /* NoAccess */
        { "ada@pve", "/vms/100", "VM.Config.Disk", true }, /* by the pool */
        { "ada@pve", "/vms/102", "VM.Config.Disk", false },
        { "ada@pve", "//vms//100/", "VM.Config.Disk", true },
        { "ada@pve!ci", "/vms/200", "VM.Console", true },  /* both hold it */
        { "ada@pve!ci", "/vms/200", "VM.Migrate", false }, /* the owner does not */
        { "ada@pve!ci", "/nodes/n1", "Sys.Audit", false }, /* the token does not */
        { "ada@pve!gone", "/vms/200", "VM.Console", false },
        { "eve@pve", "/", "Sys.Audit", false },
    };
    g_autoptr(UserCfg) cfg = user_cfg_parse(file);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *const privileges[] = { cases[i].privilege, NULL };
        g_test_message("%s %s %s", cases[i].subject, cases[i].path, cases[i].privilege);
        g_assert_true(access_holds(cfg, cases[i].subject, cases[i].path, privileges, false)
                      == cases[i].holds);
    }
}

static void
test_propagates(void)
{
    g_autoptr(UserCfg) cfg = user_cfg_parse(file);
    g_autoptr(GHashTable) at = access_privileges_on(cfg, "ada@pve", "/vms/200");
    g_autoptr(GHashTable) above = access_privileges_on(cfg, "ada@pve", "/vms");

    g_assert_cmpint(GPOINTER_TO_INT(g_hash_table_lookup(at, "VM.Console")), ==, 0);
    g_assert_cmpint(GPOINTER_TO_INT(g_hash_table_lookup(above, "VM.PowerMgmt")), ==, 1);
}

static void
test_who_may_log_in(void)
{
    static const struct {
        const char *subject;
        int64_t now_s;
        bool may;
    } cases[] = {
        { "ada@pve", 2000, true },          { "bob@pam", 2000, false },
        { "old@pve", 999, true },           { "old@pve", 1000, false },
        { "ada@pve!ci", 1893455999, true }, { "ada@pve!ci", 1893456000, false },
        { "ada@pve!no", 2000, false },      { "eve@pve", 2000, false },
        { "root@pam", 2000, true },
    };
    g_autoptr(UserCfg) cfg = user_cfg_parse(file);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s at %d", cases[i].subject, (int)cases[i].now_s);
        g_assert_true(access_check_user(cfg, cases[i].subject, cases[i].now_s, NULL)
                      == cases[i].may);
    }
}

static void
test_paths(void)
{
    static const char *const good[] = {
        "/",        "/access",      "/access/groups/ops", "/nodes/n1",  "/pool/a/b/c",
        "/vms/100", "/storage/nas", "/sdn/zones/z/v/1",   "//vms//100/"
    };
    static const char *const bad[] = { "",      "/x",       "/vms/100/x",    "/pool/a/b/c/d",
                                       "/vmsx", "/vms/1 0", "/access/users", "/nodes/n1/x" };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *path = access_path(good[i]);
        g_test_message("'%s'", good[i]);
        g_assert_nonnull(path);
    }
    for (size_t i = 1; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *path = access_path(bad[i]);
        g_test_message("'%s'", bad[i]);
        g_assert_null(path);
    }
}

/* ------------------------------------------------------------------ tickets */

static void
test_ticket_text(void)
{
    g_autofree char *plain = ticket_plain("PVE", "a:d%a@pve", 0x6b05ab47);
    g_assert_cmpstr(plain, ==, "PVE:a%3Ad%25a@pve:6B05AB47");
    g_autofree char *text = g_strconcat(plain, "::AAAA", NULL);
    g_autoptr(Ticket) ticket = ticket_parse(text, NULL);

    g_assert_cmpstr(ticket->kind, ==, "PVE");
    g_assert_cmpstr(ticket->data, ==, "a:d%a@pve");
    g_assert_cmpint(ticket->made_at_s, ==, 0x6b05ab47);
    g_assert_cmpstr(ticket->plain, ==, plain);
    g_assert_cmpstr(ticket->signature, ==, "AAAA");

    g_autofree char *bare = ticket_plain("PVEVNC", NULL, 1);
    g_assert_cmpstr(bare, ==, "PVEVNC:00000001");
}

static void
test_ticket_refused(void)
{
    static const char *const cases[] = {
        "",
        "::",
        "PVE",
        "PVE:root@pam:6B05AB47",
        "PVE:root@pam:6B05AB47::",
        "PVE:root@pam::AAAA",
        "PVE:root@pam:6B05AB4::AAAA",
        "PVE:root@pam:6B05AB4G::AAAA",
        "pve:root@pam:6B05AB47::AAAA",
        "PVE:root@pam%00x:6B05AB47::AAAA",
        "PVE:a:b:6B05AB47::AAAA",
        ":root@pam:6B05AB47::AAAA",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("'%s'", cases[i]);
        g_autoptr(GError) error = NULL;
        g_assert_null(ticket_parse(cases[i], &error));
        g_assert_error(error, Q_ERROR, Q_ERROR_UNAUTHENTICATED);
    }
}

static void
test_ages(void)
{
    static const struct {
        const char *kind;
        int64_t age_s;
        bool good;
    } cases[] = {
        { "PVE", -300, true },    { "PVE", -301, false },   { "PVE", 7200, true },
        { "PVE", 7201, false },   { "PVENODE", -20, true }, { "PVENODE", 60, true },
        { "PVENODE", 61, false }, { "PVEVNC", 40, true },   { "PVEVNC", 41, false },
        { "PVEX", 0, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s %d", cases[i].kind, (int)cases[i].age_s);
        g_assert_true(ticket_age_is_good(cases[i].kind, 1000000, 1000000 + cases[i].age_s)
                      == cases[i].good);
    }
}

static void
test_csrf(void)
{
    g_autofree char *secret = csrf_secret("key file");
    g_autofree char *other = csrf_secret("another key file");
    g_autofree char *token = csrf_token(secret, "root@pam", 1000000);

    g_assert_true(csrf_token_is_good(token, secret, "root@pam", 1000000));
    g_assert_true(csrf_token_is_good(token, secret, "root@pam", 1007200));
    g_assert_false(csrf_token_is_good(token, secret, "root@pam", 1007201));
    g_assert_false(csrf_token_is_good(token, secret, "ada@pve", 1000000));
    g_assert_false(csrf_token_is_good(token, other, "root@pam", 1000000));
    g_assert_false(csrf_token_is_good("", secret, "root@pam", 1000000));
    g_assert_false(csrf_token_is_good("000F4240", secret, "root@pam", 1000000));
    token[strlen(token) - 1] ^= 1;
    g_assert_false(csrf_token_is_good(token, secret, "root@pam", 1000000));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/roles/sizes", test_role_sizes);
    g_test_add_func("/user-cfg/round-trip", test_round_trip);
    g_test_add_func("/user-cfg/strange-lines", test_strange_lines);
    g_test_add_func("/user-cfg/rules", test_rules);
    g_test_add_func("/user-cfg/propagates", test_propagates);
    g_test_add_func("/user-cfg/who-may-log-in", test_who_may_log_in);
    g_test_add_func("/user-cfg/paths", test_paths);
    g_test_add_func("/ticket/text", test_ticket_text);
    g_test_add_func("/ticket/refused", test_ticket_refused);
    g_test_add_func("/ticket/ages", test_ages);
    g_test_add_func("/ticket/csrf", test_csrf);
    return g_test_run();
}
