#include "access/core/roles.h"
#include <string.h>

/* A privilege belongs to a category and is for root alone, administrators, users or auditors; the
 * roles of a category follow from that. */
typedef enum { FOR_ROOT, FOR_ADMIN, FOR_USER, FOR_AUDIT } For;

/* clang-format off */
static const struct {
    const char *name;
    const char *category;
    For who;
} privileges[] = {
    { "Datastore.Allocate",             "Datastore", FOR_ADMIN },
    { "Datastore.AllocateSpace",        "Datastore", FOR_USER },
    { "Datastore.AllocateTemplate",     "Datastore", FOR_ADMIN },
    { "Datastore.Audit",                "Datastore", FOR_AUDIT },
    { "Group.Allocate",                 "User",      FOR_ADMIN },
    { "Mapping.Audit",                  "Mapping",   FOR_AUDIT },
    { "Mapping.Modify",                 "Mapping",   FOR_ADMIN },
    { "Mapping.Use",                    "Mapping",   FOR_USER },
    { "Permissions.Modify",             "",          FOR_ROOT },
    { "Pool.Allocate",                  "Pool",      FOR_ADMIN },
    { "Pool.Audit",                     "Pool",      FOR_AUDIT },
    { "Realm.Allocate",                 "User",      FOR_ROOT },
    { "Realm.AllocateUser",             "User",      FOR_ADMIN },
    { "SDN.Allocate",                   "SDN",       FOR_ADMIN },
    { "SDN.Audit",                      "SDN",       FOR_AUDIT },
    { "SDN.Use",                        "SDN",       FOR_USER },
    { "Sys.AccessNetwork",              "Sys",       FOR_ROOT },
    { "Sys.Audit",                      "Sys",       FOR_AUDIT },
    { "Sys.Console",                    "Sys",       FOR_ADMIN },
    { "Sys.Incoming",                   "Sys",       FOR_ROOT },
    { "Sys.Modify",                     "Sys",       FOR_ROOT },
    { "Sys.PowerMgmt",                  "Sys",       FOR_ROOT },
    { "Sys.Syslog",                     "Sys",       FOR_ADMIN },
    { "User.Modify",                    "User",      FOR_ADMIN },
    { "VM.Allocate",                    "VM",        FOR_ADMIN },
    { "VM.Audit",                       "VM",        FOR_AUDIT },
    { "VM.Backup",                      "VM",        FOR_USER },
    { "VM.Clone",                       "VM",        FOR_ADMIN },
    { "VM.Config.CDROM",                "VM",        FOR_USER },
    { "VM.Config.CPU",                  "VM",        FOR_ADMIN },
    { "VM.Config.Cloudinit",            "VM",        FOR_USER },
    { "VM.Config.Disk",                 "VM",        FOR_ADMIN },
    { "VM.Config.HWType",               "VM",        FOR_ADMIN },
    { "VM.Config.Memory",               "VM",        FOR_ADMIN },
    { "VM.Config.Network",              "VM",        FOR_ADMIN },
    { "VM.Config.Options",              "VM",        FOR_ADMIN },
    { "VM.Console",                     "VM",        FOR_USER },
    { "VM.GuestAgent.Audit",            "VM",        FOR_AUDIT },
    { "VM.GuestAgent.FileRead",         "VM",        FOR_USER },
    { "VM.GuestAgent.FileSystemMgmt",   "VM",        FOR_USER },
    { "VM.GuestAgent.FileWrite",        "VM",        FOR_USER },
    { "VM.GuestAgent.Unrestricted",     "VM",        FOR_ADMIN },
    { "VM.Migrate",                     "VM",        FOR_ADMIN },
    { "VM.PowerMgmt",                   "VM",        FOR_USER },
    { "VM.Replicate",                   "VM",        FOR_ADMIN },
    { "VM.Snapshot",                    "VM",        FOR_ADMIN },
    { "VM.Snapshot.Rollback",           "VM",        FOR_ADMIN },
};

/* Which privileges a role has: of a category (NULL: any), for these people; NULL-terminated extras. */
#define FROM(who) (1u << (who))
#define EVERYBODY (FROM(FOR_ROOT) | ADMINS)
#define ADMINS    (FROM(FOR_ADMIN) | USERS)
#define USERS     (FROM(FOR_USER) | AUDITORS)
#define AUDITORS  FROM(FOR_AUDIT)
static const struct {
    const char *name;
    const char *category;
    unsigned who;
    const char *without, *only[2];
} roles[] = {
    { "Administrator",     NULL,        EVERYBODY },
    { "NoAccess",          NULL,        0 },
    { "PVEAdmin",          NULL,        ADMINS, "Mapping.Modify" },
    { "PVEAuditor",        NULL,        AUDITORS },
    { "PVEDatastoreAdmin", "Datastore", ADMINS },
    { "PVEDatastoreUser",  "Datastore", USERS },
    { "PVEMappingAdmin",   "Mapping",   ADMINS },
    { "PVEMappingUser",    "Mapping",   USERS },
    { "PVEPoolAdmin",      "Pool",      ADMINS },
    { "PVEPoolUser",       "Pool",      USERS },
    { "PVESDNAdmin",       "SDN",       ADMINS },
    { "PVESDNUser",        "SDN",       USERS },
    { "PVESysAdmin",       "Sys",       ADMINS },
    { "PVETemplateUser",   NULL,        0, NULL, { "VM.Audit", "VM.Clone" } },
    { "PVEUserAdmin",      "User",      ADMINS },
    { "PVEVMAdmin",        "VM",        ADMINS },
    { "PVEVMUser",         "VM",        USERS },
};
/* clang-format on */

bool
access_is_privilege(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(privileges); i++) {
        if (strcmp(privileges[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

char **
access_privileges(void)
{
    return access_builtin_role("Administrator");
}

char **
access_builtin_roles(void)
{
    GPtrArray *names = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
        g_ptr_array_add(names, g_strdup(roles[i].name));
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static bool
role_has(size_t role, size_t privilege)
{
    const char *name = privileges[privilege].name;
    const char *category = roles[role].category;

    for (size_t i = 0; i < G_N_ELEMENTS(roles[role].only); i++) {
        if (g_strcmp0(roles[role].only[i], name) == 0) {
            return true;
        }
    }
    return (roles[role].who & FROM(privileges[privilege].who)) != 0
           && (category == NULL || strcmp(category, privileges[privilege].category) == 0)
           && g_strcmp0(roles[role].without, name) != 0;
}

char **
access_builtin_role(const char *role)
{
    for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
        if (strcmp(roles[i].name, role) == 0) {
            GPtrArray *names = g_ptr_array_new();
            for (size_t p = 0; p < G_N_ELEMENTS(privileges); p++) {
                if (role_has(i, p)) {
                    g_ptr_array_add(names, g_strdup(privileges[p].name));
                }
            }
            g_ptr_array_add(names, NULL);
            return (char **)g_ptr_array_free(names, FALSE);
        }
    }
    return NULL;
}
