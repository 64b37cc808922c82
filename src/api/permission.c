#include "api/permission.h"
#include <string.h>
#include "access/core/roles.h"

enum { DEPTH_MAX = 8 };

/* One walk does both: without an asker it only checks the syntax. */
typedef struct {
    const char *at;
    const ApiAsker *asker; /* NULL: syntax only */
    char *why;             /* syntax error; (transfer full) */
    GString *refusal;      /* what the last failed check was about */
    int depth;
} Walk;

static bool walk_expression(Walk *walk);

static void
skip_blanks(Walk *walk)
{
    while (*walk->at == ' ') {
        walk->at++;
    }
}

static void
complain(Walk *walk, const char *what)
{
    if (walk->why == NULL) {
        walk->why = g_strdup_printf("%s at '%.20s'", what, walk->at);
    }
}

static bool
accept(Walk *walk, char c)
{
    skip_blanks(walk);
    if (*walk->at != c) {
        return false;
    }
    walk->at++;
    return true;
}

static char *
word(Walk *walk)
{
    skip_blanks(walk);
    size_t length = strcspn(walk->at, " ,()?+");
    char *text = g_strndup(walk->at, length);

    walk->at += length;
    return text;
}

/* The arguments of one check, up to its ")". */
static char **
words(Walk *walk)
{
    g_autoptr(GStrvBuilder) all = g_strv_builder_new();

    if (!accept(walk, '(')) {
        complain(walk, "expected '('");
        return g_strv_builder_end(all);
    }
    do {
        g_autofree char *one = word(walk);
        if (*one == '\0') {
            complain(walk, "expected a word");
        }
        g_strv_builder_add(all, one);
    } while (accept(walk, ','));
    if (!accept(walk, ')')) {
        complain(walk, "expected ')'");
    }
    return g_strv_builder_end(all);
}

/* "/vms/{vmid}" with the parameter put in. */
static char *
fill_in(const char *path, GHashTable *arguments)
{
    GString *filled = g_string_new(NULL);

    for (const char *p = path; *p != '\0'; p++) {
        const char *end = *p == '{' ? strchr(p, '}') : NULL;
        if (end == NULL) {
            g_string_append_c(filled, *p);
            continue;
        }
        g_autofree char *name = g_strndup(p + 1, end - p - 1);
        const char *value = g_hash_table_lookup(arguments, name);
        g_string_append(filled, value != NULL ? value : "");
        p = end;
    }
    return g_string_free(filled, FALSE);
}

static void
refuse(Walk *walk, const char *path, const char *privileges)
{
    g_string_printf(walk->refusal, "%s, %s", path, privileges);
}

static bool
check_privileges(Walk *walk, const char *path, const char *const *privileges, bool any)
{
    const ApiAsker *asker = walk->asker;

    if (access_holds(asker->cfg, asker->user, path, privileges, any)) {
        return true;
    }
    if (any) {
        g_autofree char *all = g_strjoinv("|", (char **)privileges);
        refuse(walk, path, all);
        return false;
    }
    for (size_t i = 0; privileges[i] != NULL; i++) {
        const char *const one[] = { privileges[i], NULL };
        if (!access_holds(asker->cfg, asker->user, path, one, true)) {
            refuse(walk, path, privileges[i]);
            break;
        }
    }
    return false;
}

static bool
privileges_exist(Walk *walk, char **privileges)
{
    if (*privileges == NULL) {
        complain(walk, "no privilege");
    }
    for (char **one = privileges; *one != NULL; one++) {
        if (!access_is_privilege(*one)) {
            g_autofree char *what = g_strdup_printf("unknown privilege '%s'", *one);
            complain(walk, what);
            return false;
        }
    }
    return true;
}

static bool
walk_perm(Walk *walk, bool any)
{
    g_auto(GStrv) args = words(walk);

    if (walk->why != NULL || !privileges_exist(walk, args + 1) || walk->asker == NULL) {
        return false;
    }
    g_autofree char *path = fill_in(args[0], walk->asker->arguments);
    return check_privileges(walk, path, (const char *const *)args + 1, any);
}

static bool
walk_root(Walk *walk)
{
    if (walk->asker == NULL) {
        return false;
    }
    g_string_assign(walk->refusal, "user != " ACCESS_ROOT);
    return strcmp(walk->asker->user, ACCESS_ROOT) == 0;
}

static bool
walk_self(Walk *walk)
{
    g_auto(GStrv) args = words(walk);

    if (walk->asker == NULL || walk->why != NULL) {
        return false;
    }
    const char *userid = g_hash_table_lookup(walk->asker->arguments, args[0]);
    g_autofree char *owner = access_owner(walk->asker->user);
    g_string_assign(walk->refusal, "userid-param self");
    return userid != NULL && strcmp(owner, userid) == 0;
}

static bool
walk_realm(Walk *walk)
{
    static const char *const privileges[] = { "Realm.AllocateUser", NULL };
    g_auto(GStrv) args = words(walk);

    if (walk->asker == NULL || walk->why != NULL) {
        return false;
    }
    const char *userid = g_hash_table_lookup(walk->asker->arguments, args[0]);
    const char *at = userid != NULL ? strrchr(userid, '@') : NULL;
    g_autofree char *path = g_strdup_printf("/access/realm/%s", at != NULL ? at + 1 : "");
    return at != NULL && check_privileges(walk, path, privileges, false);
}

/* Any of the privileges on /access/groups, or on a group that parameter userid is in. */
static bool
walk_group(Walk *walk)
{
    g_auto(GStrv) privileges = words(walk);

    if (walk->why != NULL || !privileges_exist(walk, privileges) || walk->asker == NULL) {
        return false;
    }
    const char *const *any = (const char *const *)privileges;
    if (check_privileges(walk, "/access/groups", any, true)) {
        return true;
    }
    const char *userid = g_hash_table_lookup(walk->asker->arguments, "userid");
    GHashTableIter iter;
    gpointer name, group;
    g_hash_table_iter_init(&iter, walk->asker->cfg->groups);
    while (userid != NULL && g_hash_table_iter_next(&iter, &name, &group)) {
        g_autofree char *path = g_strdup_printf("/access/groups/%s", (const char *)name);
        if (g_hash_table_contains(((AccessGroup *)group)->members, userid)
            && access_holds(walk->asker->cfg, walk->asker->user, path, any, true)) {
            return true;
        }
    }
    return false;
}

static bool
walk_modify(Walk *walk)
{
    static const char *const any_modify[] = { "Permissions.Modify", NULL };
    static const struct {
        const char *prefix;
        const char *privileges[3];
    } also[] = {
        { "/storage/", { "Permissions.Modify", "Datastore.Allocate" } },
        { "/vms/", { "Permissions.Modify", "VM.Allocate" } },
        { "/pool/", { "Permissions.Modify", "Pool.Allocate" } },
    };
    g_auto(GStrv) args = words(walk);

    if (walk->asker == NULL || walk->why != NULL) {
        return false;
    }
    g_autofree char *path = fill_in(args[0], walk->asker->arguments);
    for (size_t i = 0; i < G_N_ELEMENTS(also); i++) {
        if (g_str_has_prefix(path, also[i].prefix)) {
            return check_privileges(walk, path, also[i].privileges, true);
        }
    }
    return check_privileges(walk, path, any_modify, false);
}

/* and(…), or(…): every part is walked, so that syntax errors behind the decision are seen too. */
static bool
walk_combination(Walk *walk, bool is_and)
{
    bool result = is_and;
    g_autofree char *first_refusal = NULL;

    if (!accept(walk, '(')) {
        complain(walk, "expected '('");
        return false;
    }
    do {
        bool part = walk_expression(walk);
        if (!part && first_refusal == NULL) {
            first_refusal = g_strdup(walk->refusal->str);
        }
        result = is_and ? result && part : result || part;
    } while (walk->why == NULL && accept(walk, ','));
    if (!accept(walk, ')')) {
        complain(walk, "expected ')'");
    }
    if (first_refusal != NULL) {
        g_string_assign(walk->refusal, first_refusal);
    }
    return result;
}

static bool
walk_check(Walk *walk, const char *name)
{
    if (strcmp(name, "perm") == 0 || strcmp(name, "any") == 0) {
        return walk_perm(walk, name[0] == 'a');
    }
    if (strcmp(name, "all") == 0 || strcmp(name, "world") == 0) {
        return true;
    }
    if (strcmp(name, "root") == 0) {
        return walk_root(walk);
    }
    if (strcmp(name, "self") == 0) {
        return walk_self(walk);
    }
    if (strcmp(name, "realm") == 0) {
        return walk_realm(walk);
    }
    if (strcmp(name, "group") == 0) {
        return walk_group(walk);
    }
    if (strcmp(name, "modify") == 0) {
        return walk_modify(walk);
    }
    if (strcmp(name, "and") == 0 || strcmp(name, "or") == 0) {
        return walk_combination(walk, name[0] == 'a');
    }
    complain(walk, "unknown check");
    return false;
}

static bool
walk_expression(Walk *walk)
{
    bool result;

    if (++walk->depth > DEPTH_MAX) {
        complain(walk, "nested too deep");
        return false;
    }
    g_autofree char *name = word(walk);
    if (accept(walk, '?')) {
        bool given = walk->asker != NULL && g_hash_table_contains(walk->asker->arguments, name);
        result = walk_expression(walk) || (walk->asker != NULL && !given);
    } else {
        result = walk_check(walk, name);
    }
    walk->depth--;
    return result;
}

static bool
walk_all(Walk *walk, const char *expression)
{
    walk->at = expression;
    walk->refusal = g_string_new(NULL);
    bool result = walk_expression(walk);
    accept(walk, '+');
    skip_blanks(walk);
    if (*walk->at != '\0') {
        complain(walk, "something left over");
    }
    return result;
}

bool
api_access_is_valid(const char *expression, char **why)
{
    Walk walk = { 0 };

    walk_all(&walk, expression);
    g_string_free(walk.refusal, TRUE);
    *why = walk.why;
    return walk.why == NULL;
}

bool
api_access_is_world(const char *expression)
{
    g_autofree char *bare = g_strndup(expression, strcspn(expression, "+"));

    return strcmp(g_strstrip(bare), "world") == 0;
}

bool
api_access_check(const char *expression, const ApiAsker *asker, GError **error)
{
    if (api_access_is_world(expression)) {
        return true;
    }
    if (asker->user == NULL) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "No ticket");
    }
    if (strcmp(asker->user, ACCESS_ROOT) == 0) {
        return true;
    }
    Walk walk = { .asker = asker };
    bool ok = walk_all(&walk, expression) && walk.why == NULL;
    if (!ok) {
        q_set_error(error, Q_ERROR_DENIED, "Permission check failed (%s)",
                    walk.why != NULL ? walk.why : walk.refusal->str);
    }
    g_string_free(walk.refusal, TRUE);
    g_free(walk.why);
    return ok;
}
