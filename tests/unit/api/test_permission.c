#include "api/permission.h"

static void
test_syntax(void)
{
    static const struct {
        const char *expression;
        bool valid;
    } cases[] = {
        { "all", true },
        { "world+", true },
        { "root", true },
        { "perm(/vms/{vmid}, VM.Migrate)", true },
        { "any(/, Sys.Audit, Sys.Modify)+", true },
        { "and(realm(userid), group(User.Modify))", true },
        { "or(self(userid), perm(/access, Sys.Audit))", true },
        { "modify({path})", true },
        { "target?perm(/nodes/{target}, Sys.Audit)", true },
        { "and(all, x?perm(/, Sys.Audit), or(root, all))", true },
        { "", false },
        { "nobody", false },
        { "perm(/)", false },
        { "perm(/, Sys.Nothing)", false },
        { "perm(/, Sys.Audit", false },
        { "all all", false },
        { "and(all", false },
        { "and(all,)", false },
        { "or(root, perm(/, VM.Monitor))", false },
        { "and(and(and(and(and(and(and(and(and(all)))))))))", false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *why = NULL;
        g_test_message("'%s'", cases[i].expression);
        g_assert_true(api_access_is_valid(cases[i].expression, &why) == cases[i].valid);
    }
}

static const char *const file = "user:ada@pve:1:0::::::\n"
                                "user:bob@pve:1:0::::::\n"
                                "group:ops:bob@pve:x:\n"
                                "acl:1:/vms/100:ada@pve:PVEVMAdmin:\n"
                                "acl:1:/access/groups/ops:ada@pve:PVEUserAdmin:\n"
                                "acl:1:/access/realm/pve:ada@pve:PVEUserAdmin:\n";

static void
test_decisions(void)
{
    static const struct {
        const char *expression, *user, *name, *value, *refusal; /* NULL: allowed */
    } cases[] = {
        { "all", "ada@pve", "x", "1", NULL },
        { "all", NULL, "x", "1", "No ticket" },
        { "world", NULL, "x", "1", NULL },
        { "root", "root@pam", "x", "1", NULL },
        { "root", "ada@pve", "x", "1", "Permission check failed (user != root@pam)" },
        { "root", "root@pam!t", "x", "1", "Permission check failed (user != root@pam)" },
        { "perm(/vms/{vmid}, VM.PowerMgmt)", "ada@pve", "vmid", "100", NULL },
        { "perm(/vms/{vmid}, VM.PowerMgmt)", "ada@pve", "vmid", "101",
          "Permission check failed (/vms/101, VM.PowerMgmt)" },
        { "perm(/vms/{vmid}, VM.Audit, Sys.Audit)", "ada@pve", "vmid", "100",
          "Permission check failed (/vms/100, Sys.Audit)" },
        { "any(/vms/{vmid}, VM.Audit, Sys.Audit)", "ada@pve", "vmid", "100", NULL },
        { "any(/, VM.Audit, Sys.Audit)", "ada@pve", "vmid", "100",
          "Permission check failed (/, VM.Audit|Sys.Audit)" },
        { "self(userid)", "ada@pve!t", "userid", "ada@pve", NULL },
        { "self(userid)", "ada@pve", "userid", "bob@pve",
          "Permission check failed (userid-param self)" },
        { "realm(userid)", "ada@pve", "userid", "eve@pve", NULL },
        { "realm(userid)", "ada@pve", "userid", "eve@pam",
          "Permission check failed (/access/realm/pam, Realm.AllocateUser)" },
        { "group(User.Modify)", "ada@pve", "userid", "bob@pve", NULL },
        { "group(User.Modify)", "ada@pve", "userid", "ada@pve",
          "Permission check failed (/access/groups, User.Modify)" },
        { "modify({path})", "ada@pve", "path", "/vms/100", NULL },
        { "modify({path})", "ada@pve", "path", "/nodes",
          "Permission check failed (/nodes, Permissions.Modify)" },
        { "and(perm(/vms/100, VM.Audit), root)", "ada@pve", "x", "1",
          "Permission check failed (user != root@pam)" },
        { "or(root, perm(/vms/100, VM.Audit))", "ada@pve", "x", "1", NULL },
        { "target?perm(/nodes/{target}, Sys.Audit)", "ada@pve", "x", "1", NULL },
        { "target?perm(/nodes/{target}, Sys.Audit)", "ada@pve", "target", "n1",
          "Permission check failed (/nodes/n1, Sys.Audit)" },
        { "broken(", "ada@pve", "x", "1", "Permission check failed (unknown check at '(')" },
    };
    g_autoptr(UserCfg) cfg = user_cfg_parse(file);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GHashTable) arguments = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GError) error = NULL;
        g_hash_table_insert(arguments, (gpointer)cases[i].name, (gpointer)cases[i].value);
        ApiAsker asker = { cfg, cases[i].user, arguments };
        g_test_message("%s as %s", cases[i].expression, cases[i].user);
        bool allowed = api_access_check(cases[i].expression, &asker, &error);
        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, cases[i].refusal);
        g_assert_true(allowed == (cases[i].refusal == NULL));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/permission/syntax", test_syntax);
    g_test_add_func("/permission/decisions", test_decisions);
    return g_test_run();
}
