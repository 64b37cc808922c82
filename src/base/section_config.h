#pragma once
#include "base/error.h"

/*
 * The section file of Proxmox VE (storage.cfg, ha/resources.cfg, ha/rules.cfg, …):
 *
 *     TYPE: ID
 *             KEY VALUE
 *
 * A header at the start of a line, indented "KEY VALUE" lines (a key alone is a boolean that is
 * on), an empty line after each section, `#` comments. Reading never loses anything: keys and
 * sections that we do not understand stay in place and are written back; what is wrong is
 * reported as warnings with line numbers. Sections keep their order, keys keep theirs.
 */
typedef struct QSectionConfig QSectionConfig;
typedef struct QSection QSection;

/**
 * q_section_config_parse:
 * @text: (nullable): %NULL or "" is a file without sections
 *
 * Never fails. A second section of the same id, or a key given twice, is a warning; the first
 * counts.
 */
QSectionConfig *q_section_config_parse(const char *text);
void q_section_config_free(QSectionConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QSectionConfig, q_section_config_free)

char *q_section_config_text(const QSectionConfig *config);
GPtrArray *q_section_config_warnings(const QSectionConfig *config); /* char *, borrowed */

GPtrArray *
q_section_config_sections(const QSectionConfig *config); /* QSection *, borrowed, in order */
QSection *q_section_config_find(const QSectionConfig *config, const char *id); /* or NULL */

/** q_section_config_add: Returns: (transfer none): the new section, last in the file; %NULL with
 *  Q_ERROR_EXISTS if @id is there */
QSection *q_section_config_add(QSectionConfig *config, const char *type, const char *id,
                               GError **error);
bool q_section_config_remove(QSectionConfig *config, const char *id); /* false: it was not there */

const char *q_section_type(const QSection *section);
const char *q_section_id(const QSection *section);
const char *q_section_get(const QSection *section, const char *key, const char *fallback);
bool q_section_get_bool(const QSection *section, const char *key, bool fallback);
int64_t q_section_get_int(const QSection *section, const char *key, int64_t fallback);
void q_section_set(QSection *section, const char *key, const char *value); /* NULL removes */
GPtrArray *
q_section_keys(const QSection *section); /* (transfer container) const char *, in order */

/** q_split_list: splits at comma, semicolon and white space; empty parts are left out. */
char **q_split_list(const char *text);
