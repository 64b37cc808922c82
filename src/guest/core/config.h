#pragma once
#include "guest/core/schema.h"

/*
 * The file nodes/NODE/qemu-server/VMID.conf. Reading never loses anything: keys, lines and sections
 * that we do not understand stay and are written back; what is wrong is reported as warnings.
 * Writing sorts keys, so equal configurations are equal texts.
 */
typedef struct GuestConfig GuestConfig;
typedef struct GuestSection GuestSection; /* borrowed from its configuration */

/** guest_config_parse: @text (nullable): none is an empty configuration. Never fails. */
GuestConfig *guest_config_parse(const char *text);
void guest_config_free(GuestConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestConfig, guest_config_free)

char *guest_config_text(const GuestConfig *config);
GPtrArray *guest_config_warnings(const GuestConfig *config); /* char *, borrowed */
char *guest_config_digest(const char *text);                 /* SHA-1 hex of the raw file */

GuestSection *guest_config_main(const GuestConfig *config);
GuestSection *guest_config_pending(const GuestConfig *config); /* always there, often empty */
GPtrArray *
guest_config_snapshots(const GuestConfig *config); /* const char *, sorted; container to free */
GuestSection *guest_config_snapshot(const GuestConfig *config, const char *name); /* or NULL */

/* Values. The description is the key "description", its text decoded. */
const char *guest_get(const GuestSection *section, const char *key); /* or NULL */
bool guest_get_bool(const GuestSection *section, const char *key, bool fallback);
int64_t guest_get_int(const GuestSection *section, const char *key, int64_t fallback);
void guest_set(GuestSection *section, const char *key, const char *value); /* NULL removes */
GPtrArray *
guest_section_keys(const GuestSection *section); /* const char *, sorted; container to free */
bool guest_section_is_empty(const GuestSection *section);

/** guest_get_properties: Returns: (transfer full): the value taken apart; NULL if absent, or with
 *  @error set if it does not parse. @error is named "KEY: …". */
QPropertyString *guest_get_properties(const GuestSection *section, const char *key, GError **error);

/* The `delete:` list of [PENDING]. */
GHashTable *
guest_deletions(const GuestConfig *config); /* key -> NULL, or "!" to free its volume; borrowed */

/** guest_config_memory_mib, …: what a configuration says, with defaults; for lists and placement.
 */
int64_t guest_config_memory_mib(const GuestSection *section);
int guest_config_cpus(const GuestSection *section); /* sockets * cores, or vcpus */
char *guest_config_name(const GuestSection *section,
                        uint32_t vmid); /* (transfer full): "VM N" if unnamed */

/* Encoding of the description in '#' lines: every byte outside 0x20-0x7e, '%' and ':' as %XX. */
char *guest_encode_text(const char *text);
char *guest_decode_text(const char *text);
