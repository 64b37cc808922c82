#pragma once
#include "base/error.h"

/* A volume as guest configurations name it: "STORAGE:VOLUME", e.g. "tank:vm-100-disk-0". */
typedef struct VolumeId VolumeId;

/**
 * volume_id_parse:
 * @text: the id alone, without options: "tank:vm-100-disk-0", not "tank:vm-100-disk-0,size=4G"
 * @error: Q_ERROR_INVALID if @text has no colon, or one of the two parts is empty or malformed
 *
 * Only the first colon separates: "nas:iso/a:b.iso" is the volume "iso/a:b.iso".
 *
 * Returns: (transfer full): the id; free with volume_id_free()
 */
VolumeId *volume_id_parse(const char *text, GError **error);

const char *volume_id_storage(const VolumeId *id); /* borrowed from @id */
const char *volume_id_name(const VolumeId *id);    /* borrowed from @id */
void volume_id_free(VolumeId *id);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeId, volume_id_free)

/** storage_id_is_valid: a letter, then letters, digits, "-_.", last a letter or digit; 2 at least.
 */
bool storage_id_is_valid(const char *id);

/* What a volume's name says on storages that are folders (dir, nfs, cifs). */
typedef struct {
    const char *content; /* "images", "iso", "vztmpl", "backup", "snippets", "import", "rootdir" */
    uint32_t vmid;       /* owner; 0: none */
    char *format;   /* "raw", "qcow2", "vmdk", "subvol"; "iso" and so on for files of other kinds */
    char *relative; /* below the storage's path, if it uses the standard folders */
    char *base;     /* "100/base-100-disk-0.raw" of a linked clone, or NULL */
    bool is_base;   /* a template's image */
} FileVolume;
void file_volume_clear(FileVolume *volume);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FileVolume, file_volume_clear)

/** file_volume_parse: Errors: Q_ERROR_INVALID "unable to parse directory volume name 'NAME'" */
bool file_volume_parse(const char *name, FileVolume *volume, GError **error);

/** file_volume_of_file: the volume name of a file found in a content's folder, or NULL if it is
 * none
 *  ("iso", 0, "debian.iso" -> "iso/debian.iso"). @vmid only for images. (transfer full) */
char *file_volume_of_file(const char *content, uint32_t vmid, const char *file);

const char *
file_content_folder(const char *content); /* "template/iso"; NULL for an unknown content */
extern const char *const file_contents[]; /* every content, NULL at the end */
