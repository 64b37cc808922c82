#pragma once
#include "api/method.h"
#include "base/section_config.h"

#define HA_RESOURCES_FILE "ha/resources.cfg"
#define HA_RULES_FILE "ha/rules.cfg"
#define HA_COMMANDS_FILE "ha/crm_commands"

/* One file of sections, read to be shown or changed. */
typedef struct {
    const char *path;
    QSectionConfig *config; /* empty if the file is not there */
    uint64_t version;
    char *digest; /* SHA-1 hex of the text */
} HaSections;

void ha_sections_free(HaSections *sections);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HaSections, ha_sections_free)
HaSections *ha_sections_read(CfsClient *cfs, const char *path, GError **error);

/** ha_sections_check_digest: @digest (nullable). Errors: Q_ERROR_CONFLICT "detected modified …" */
bool ha_sections_check_digest(const HaSections *sections, const char *digest, GError **error);

/** ha_sections_add: adds the new text of @sections to @txn, on condition of the version read. */
void ha_sections_add(const HaSections *sections, CfsTxn *txn);

/** ha_make_folder: a cluster that never had a service has no folder ha/. */
bool ha_make_folder(CfsClient *cfs, GError **error);

/** ha_sections_write: Errors: as cfs_txn_commit() */
bool ha_sections_write(const HaSections *sections, CfsClient *cfs, GError **error);

/** ha_sid_parse: "vm:100" or "100". Returns: (transfer full): "vm:100"; NULL with Q_ERROR_INVALID
 * that blames `sid`. @vmid is optional. */
char *ha_sid_parse(const char *text, uint32_t *vmid, GError **error);

/** ha_guest_node: (transfer full): whose folder the guest's configuration stands in; NULL with
 *  Q_ERROR_NOT_FOUND */
char *ha_guest_node(CfsClient *cfs, uint32_t vmid, GError **error);

/** ha_cluster_nodes: (transfer full) (element-type utf8): as configured, sorted. @online (out)
 *  (optional) (transfer full): a set of names */
GPtrArray *ha_cluster_nodes(ApiCall *call, CfsClient *cfs, GHashTable **online, GError **error);

/** ha_queue_command: appends a line to the master's queue. */
bool ha_queue_command(CfsClient *cfs, const char *line, GError **error);

/** ha_section_json: the keys of @section; @numbers and @booleans (nullable) %NULL-terminated. */
JsonObject *ha_section_json(const QSection *section, const char *const *numbers,
                            const char *const *booleans);

/** ha_delete_keys: removes each of @keys from @section. Errors: blames `delete`. */
bool ha_delete_keys(ApiCall *call, QSection *section, char **keys, const char *const *known,
                    GError **error);
