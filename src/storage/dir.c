#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "storage/core/volume_id.h"
#include "storage/deadline.h"
#include "storage/plugin.h"
#include "sys/file.h"
#include "sys/process.h"

/* Storage type dir: images and other files in folders of a mounted file system. */

#define FOLDER_MODE 0740
#define FILE_MODE 0640
#define DISK_NUMBERS 1024
#define LOOK_MS 2000        /* a path that does not answer within this is not usable */
#define KEEP_FREE_PERCENT 5 /* no new image on a file system with less room than this */
#define QEMU_IMG_MS 600000

/* ------------------------------------------------------------------ the folder itself */

static bool
is_mounted(const char *path)
{
    g_autofree char *mounts = q_file_read("/proc/self/mounts", 16 << 20, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(mounts != NULL ? mounts : "", "\n", -1);

    for (int i = 0; lines[i] != NULL; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], " ", 3);
        g_autofree char *mounted =
            fields[0] != NULL && fields[1] != NULL ? g_strcompress(fields[1]) : NULL;

        if (g_strcmp0(mounted, path) == 0) {
            return true;
        }
    }
    return false;
}

/* `is_mountpoint`: no, yes (the path itself) or another path. */
static bool
check_mounted(const QSection *section, const char *path, GError **error)
{
    const char *wanted = q_section_get(section, "is_mountpoint", "no");
    const char *point = wanted[0] == '/' ? wanted : path;

    if (wanted[0] != '/' && !q_section_get_bool(section, "is_mountpoint", false)) {
        return true;
    }
    return is_mounted(point)
           || q_set_error(
               error, Q_ERROR_IO,
               "unable to activate storage - directory is expected to be a mount point but is not "
               "mounted: '%s'",
               point);
}

typedef struct {
    char *path;
    struct statvfs fs;
    bool is_folder;
    int reason; /* errno, 0: fine */
} Look;

static void
look_free(gpointer data)
{
    Look *look = data;

    g_free(look->path);
    g_free(look);
}

static void
look_at(gpointer data)
{
    Look *look = data;
    struct stat info;

    if (stat(look->path, &info) < 0 || statvfs(look->path, &look->fs) < 0) {
        look->reason = errno;
        return;
    }
    look->is_folder = S_ISDIR(info.st_mode);
}

/* Looks in a thread, because a dead server holds whoever asks for ever. (transfer full) */
static Look *
look(const char *path, GError **error)
{
    Look *found = g_new0(Look, 1);

    found->path = g_strdup(path);
    if (!storage_within(LOOK_MS, look_at, found, look_free)) {
        q_set_error(error, Q_ERROR_TIMEOUT, "'%s' does not answer within %d ms", path, LOOK_MS);
        return NULL;
    }
    if (found->reason != 0 || !found->is_folder) {
        if (found->reason != 0) {
            q_set_error_errno(error, found->reason, "'%s'", path);
        } else {
            q_set_error(error, Q_ERROR_INVALID, "'%s' is no directory", path);
        }
        look_free(found);
        return NULL;
    }
    return found;
}

static bool
make_folder(const char *path, GError **error)
{
    return mkdir(path, FOLDER_MODE) == 0 || errno == EEXIST
           || q_set_error_errno(error, errno, "cannot make '%s'", path);
}

static bool
dir_activate(const QSection *section, GError **error)
{
    g_autofree char *path = storage_section_path(section);
    bool old = q_section_get_bool(section, "mkdir", true);

    if (path == NULL || path[0] != '/') {
        return q_set_error(error, Q_ERROR_INVALID, "has no path");
    }
    if (!check_mounted(section, path, error)) {
        return false;
    }
    if (q_section_get_bool(section, "create-base-path", old) && access(path, F_OK) < 0
        && !q_file_make_dir(path, 0755, error)) {
        return false;
    }
    Look *found = look(path, error);
    if (found == NULL) {
        return false;
    }
    look_free(found);
    g_auto(GStrv) contents = storage_section_content(section);
    for (int i = 0; q_section_get_bool(section, "create-subdirs", old) && contents[i] != NULL;
         i++) {
        g_autofree char *folder = storage_section_folder(section, contents[i]);

        if (folder != NULL && access(folder, F_OK) < 0 && !q_file_make_dir(folder, 0755, error)) {
            return false;
        }
    }
    return true;
}

static void
dir_status(const QSection *section, StorageStatus *status)
{
    g_autofree char *path = storage_section_path(section);
    g_autoptr(GError) error = NULL;
    Look *found = path != NULL && check_mounted(section, path, &error) ? look(path, &error) : NULL;

    if (found == NULL) {
        status->why = g_strdup(error != NULL ? error->message : "has no path");
        return;
    }
    status->active = found->fs.f_blocks > 0;
    status->total_bytes = (uint64_t)found->fs.f_blocks * found->fs.f_frsize;
    status->avail_bytes = (uint64_t)found->fs.f_bavail * found->fs.f_frsize;
    status->used_bytes = status->total_bytes - (uint64_t)found->fs.f_bfree * found->fs.f_frsize;
    look_free(found);
}

static bool
dir_room(const QSection *section, const char *format, uint64_t size_bytes, GError **error)
{
    StorageStatus status = { 0 };
    const char *preallocation = q_section_get(section, "preallocation", "metadata");
    bool whole = q_is_word_of("falloc full", preallocation);

    dir_status(section, &status);
    g_autofree char *why = status.why;
    if (!status.active) {
        return q_set_error(error, Q_ERROR_IO, "%s", why != NULL ? why : "is not usable");
    }
    g_autofree char *wanted = g_format_size_full(size_bytes, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *free_text = g_format_size_full(status.avail_bytes, G_FORMAT_SIZE_IEC_UNITS);
    /* Images grow as they are written; but one larger than the file system can never be filled. */
    if (size_bytes > (whole ? status.avail_bytes : status.total_bytes)) {
        return q_set_error(error, Q_ERROR_FULL, "no room for an image of %s: %s are free", wanted,
                           free_text);
    }
    return status.avail_bytes >= status.total_bytes / 100 * KEEP_FREE_PERCENT
           || q_set_error(error, Q_ERROR_FULL,
                          "nearly full: only %s are free; remove something before you add an image",
                          free_text);
}

/* ------------------------------------------------------------------ looking at volumes */

/* Virtual size and backing file of a qcow2 image, from its header; the image is not opened. */
static bool
read_qcow2(const char *path, uint64_t *size_bytes, char **backing)
{
    unsigned char header[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }
    bool known =
        pread(fd, header, sizeof(header), 0) == sizeof(header) && memcmp(header, "QFI\xfb", 4) == 0;
    uint64_t value, offset;
    uint32_t length;
    if (known) {
        memcpy(&value, header + 24, sizeof(value));
        memcpy(&offset, header + 8, sizeof(offset));
        memcpy(&length, header + 16, sizeof(length));
        *size_bytes = GUINT64_FROM_BE(value);
        offset = GUINT64_FROM_BE(offset);
        length = GUINT32_FROM_BE(length);
        if (offset != 0 && length > 0 && length < 1024) {
            *backing = g_malloc0(length + 1);
            if (pread(fd, *backing, length, offset) != (ssize_t)length) {
                g_clear_pointer(backing, g_free);
            }
        }
    }
    close(fd);
    return known;
}

/* "../100/base-100-disk-0.raw" -> "100/base-100-disk-0.raw" */
static char *
parent_of(const char *backing)
{
    return backing != NULL && g_str_has_prefix(backing, "../") ? g_strdup(backing + 3) : NULL;
}

static StorageVolume *
stat_file(const char *id, const char *name, const FileVolume *parsed, const char *path,
          GError **error)
{
    struct stat info;
    g_autofree char *backing = NULL;

    if (stat(path, &info) < 0) {
        if (errno == ENOENT) {
            q_set_error(error, Q_ERROR_NOT_FOUND, "volume '%s:%s' does not exist", id, name);
        } else {
            q_set_error_errno(error, errno, "volume '%s:%s'", id, name);
        }
        return NULL;
    }
    StorageVolume *volume = g_new0(StorageVolume, 1);
    volume->content = g_strdup(parsed->content);
    volume->format = g_strdup(parsed->format);
    volume->vmid = parsed->vmid;
    volume->size_bytes = info.st_size;
    volume->used_bytes = (uint64_t)info.st_blocks * 512;
    volume->ctime_s = info.st_ctime;
    if (strcmp(parsed->format, "qcow2") == 0) {
        read_qcow2(path, &volume->size_bytes, &backing);
    }
    volume->parent = parent_of(backing);
    volume->volid = volume->parent != NULL && parsed->base == NULL
                        ? g_strdup_printf("%s:%s/%s", id, volume->parent, name)
                        : g_strdup_printf("%s:%s", id, name);
    return volume;
}

static char *
volume_path(const QSection *section, const FileVolume *parsed)
{
    g_autofree char *folder = storage_section_folder(section, parsed->content);
    const char *standard = file_content_folder(parsed->content);

    return g_build_filename(folder, parsed->relative + strlen(standard), NULL);
}

static char *
dir_path(const QSection *section, const char *name, char **format, uint32_t *vmid, char **content,
         GError **error)
{
    g_auto(FileVolume) parsed = { 0 };

    if (!file_volume_parse(name, &parsed, error)) {
        return NULL;
    }
    if (format != NULL) {
        *format = g_strdup(parsed.format);
    }
    if (vmid != NULL) {
        *vmid = parsed.vmid;
    }
    if (content != NULL) {
        *content = g_strdup(parsed.content);
    }
    return volume_path(section, &parsed);
}

static StorageVolume *
dir_stat(const QSection *section, const char *name, GError **error)
{
    g_auto(FileVolume) parsed = { 0 };

    if (!file_volume_parse(name, &parsed, error)) {
        return NULL;
    }
    g_autofree char *path = volume_path(section, &parsed);
    return stat_file(q_section_id(section), name, &parsed, path, error);
}

static void
list_folder(const QSection *section, const char *content, uint32_t vmid, const char *folder,
            GPtrArray *volumes)
{
    DIR *dir = opendir(folder);

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        g_autofree char *name = file_volume_of_file(content, vmid, entry->d_name);
        g_autofree char *path = g_build_filename(folder, entry->d_name, NULL);
        g_auto(FileVolume) parsed = { 0 };
        StorageVolume *volume = name != NULL && file_volume_parse(name, &parsed, NULL)
                                    ? stat_file(q_section_id(section), name, &parsed, path, NULL)
                                    : NULL;

        if (volume != NULL) {
            g_ptr_array_add(volumes, volume);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static void
list_images(const QSection *section, uint32_t vmid, const char *folder, GPtrArray *volumes)
{
    DIR *dir = opendir(folder);

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(folder, entry->d_name, NULL);
        guint64 owner;

        if (g_ascii_string_to_unsigned(entry->d_name, 10, 100, 999999999, &owner, NULL)
            && (vmid == 0 || owner == vmid)) {
            list_folder(section, "images", owner, path, volumes);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static bool
dir_list(const QSection *section, const char *content, uint32_t vmid, GPtrArray *volumes,
         GError **error)
{
    if (!dir_activate(section, error)) {
        return false;
    }
    g_auto(GStrv) contents = storage_section_content(section);
    for (int i = 0; contents[i] != NULL; i++) {
        g_autofree char *folder = storage_section_folder(section, contents[i]);

        if (folder == NULL || (content != NULL && strcmp(content, contents[i]) != 0)) {
            continue;
        }
        if (strcmp(contents[i], "images") == 0) {
            list_images(section, vmid, folder, volumes);
        } else if (vmid == 0 || strcmp(contents[i], "backup") == 0) {
            list_folder(section, contents[i], 0, folder, volumes);
        }
    }
    for (guint i = volumes->len; vmid != 0 && i-- > 0;) {
        if (((StorageVolume *)volumes->pdata[i])->vmid != vmid) {
            g_ptr_array_remove_index(volumes, i);
        }
    }
    return true;
}

/* ------------------------------------------------------------------ making and removing */

static bool
number_is_used(GHashTable *stems, uint32_t vmid, int number)
{
    g_autofree char *own = g_strdup_printf("vm-%u-disk-%d", vmid, number);
    g_autofree char *base = g_strdup_printf("base-%u-disk-%d", vmid, number);

    return g_hash_table_contains(stems, own) || g_hash_table_contains(stems, base);
}

/* The lowest number that no image of the guest has, with whatever extension. */
static char *
free_name(const char *folder, uint32_t vmid, const char *format, GError **error)
{
    g_autoptr(GHashTable) stems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    DIR *dir = opendir(folder);

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char *stem = g_strdup(entry->d_name);
        char *dot = strrchr(stem, '.');

        if (dot != NULL) {
            *dot = '\0';
        }
        g_hash_table_add(stems, stem);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    for (int number = 0; number < DISK_NUMBERS; number++) {
        if (!number_is_used(stems, vmid, number)) {
            return g_strdup_printf("vm-%u-disk-%d.%s", vmid, number, format);
        }
    }
    q_set_error(error, Q_ERROR_FULL,
                "unable to allocate an image name for VM %u: all %d are in use", vmid,
                DISK_NUMBERS);
    return NULL;
}

static bool
check_wanted(const char *wanted, const char *format, GError **error)
{
    g_autofree char *extension = g_strdup_printf(".%s", format);

    if (strchr(wanted, '/') != NULL || wanted[0] == '.') {
        return q_set_error(error, Q_ERROR_INVALID, "illegal name '%s'", wanted);
    }
    return g_str_has_suffix(wanted, extension)
           || q_set_error(error, Q_ERROR_INVALID, "illegal name '%s': it must end with '%s'",
                          wanted, extension);
}

static char *
dir_reserve(const QSection *section, uint32_t vmid, const char *wanted, const char *format,
            GError **error)
{
    g_autofree char *images = storage_section_folder(section, "images");
    g_autofree char *folder = g_strdup_printf("%s/%u", images, vmid);

    if (!q_is_word_of("raw qcow2 vmdk", format)) {
        q_set_error(error, Q_ERROR_INVALID, "unsupported format '%s'", format);
        return NULL;
    }
    if ((wanted != NULL && !check_wanted(wanted, format, error)) || !make_folder(folder, error)) {
        return NULL;
    }
    g_autofree char *file =
        wanted != NULL ? g_strdup(wanted) : free_name(folder, vmid, format, error);
    g_autofree char *name = file != NULL ? file_volume_of_file("images", vmid, file) : NULL;
    if (name == NULL) {
        if (file != NULL) {
            q_set_error(error, Q_ERROR_INVALID, "illegal name '%s'", file);
        }
        return NULL;
    }
    g_autofree char *path = g_build_filename(folder, file, NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        if (errno == EEXIST) {
            q_set_error(error, Q_ERROR_EXISTS, "disk image '%s' already exists", path);
        } else {
            q_set_error_errno(error, errno, "cannot make '%s'", path);
        }
        return NULL;
    }
    close(fd);
    return g_steal_pointer(&name);
}

static bool
make_raw(const char *path, const char *preallocation, uint64_t size_bytes, GError **error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0) {
        return q_set_error_errno(error, errno, "cannot open '%s'", path);
    }
    int failed = ftruncate(fd, size_bytes) < 0 ? errno : 0;
    if (failed == 0 && q_is_word_of("falloc full", preallocation)) {
        failed = posix_fallocate(fd, 0, size_bytes);
    }
    if (failed == 0 && fsync(fd) < 0) {
        failed = errno;
    }
    close(fd);
    return failed == 0
           || q_set_error_errno(error, failed, "cannot make '%s' %" G_GUINT64_FORMAT " bytes long",
                                path, size_bytes);
}

static bool
dir_make(const QSection *section, const char *name, const char *format, uint64_t size_bytes,
         GError **error)
{
    const char *preallocation = q_section_get(section, "preallocation", "metadata");
    g_autofree char *path = dir_path(section, name, NULL, NULL, NULL, error);
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, size_bytes);
    g_autofree char *option = g_strdup_printf("preallocation=%s", preallocation);
    QRunOptions options = { .timeout_ms = QEMU_IMG_MS };

    if (path == NULL) {
        return false;
    }
    if (strcmp(format, "raw") == 0) {
        return make_raw(path, preallocation, size_bytes, error);
    }
    const char *argv[] = { "qemu-img", "create", "-q", "-f", format, path, size, NULL, NULL, NULL };
    if (strcmp(format, "qcow2") == 0) {
        argv[7] = "-o";
        argv[8] = option;
    }
    return q_run_ok(argv, &options, NULL, error);
}

static bool
is_in_use_as_base(const QSection *section, const char *name, GError **error)
{
    g_autoptr(GPtrArray) volumes =
        g_ptr_array_new_with_free_func((GDestroyNotify)storage_volume_free);

    if (!dir_list(section, "images", 0, volumes, error)) {
        return true;
    }
    for (guint i = 0; i < volumes->len; i++) {
        const StorageVolume *volume = volumes->pdata[i];

        if (g_strcmp0(volume->parent, name) == 0) {
            q_set_error(error, Q_ERROR_BUSY, "base volume '%s:%s' is still in use by linked clones",
                        q_section_id(section), name);
            return true;
        }
    }
    return false;
}

static bool
dir_free(const QSection *section, const char *name, GError **error)
{
    g_auto(FileVolume) parsed = { 0 };
    const char *id = q_section_id(section);

    if (!file_volume_parse(name, &parsed, error)) {
        return false;
    }
    g_autofree char *path = volume_path(section, &parsed);
    g_autofree char *guard = g_strconcat(path, ".protected", NULL);
    if (parsed.is_base && is_in_use_as_base(section, name, error)) {
        return false;
    }
    if (strcmp(parsed.content, "backup") == 0 && access(guard, F_OK) == 0) {
        return q_set_error(error, Q_ERROR_DENIED, "can't remove '%s:%s': it is protected", id,
                           name);
    }
    if (unlink(path) < 0) {
        return errno == ENOENT ? q_set_error(error, Q_ERROR_NOT_FOUND,
                                             "volume '%s:%s' does not exist", id, name)
                               : q_set_error_errno(error, errno, "cannot remove '%s:%s'", id, name);
    }
    if (strcmp(parsed.content, "images") == 0) {
        g_autofree char *folder = g_path_get_dirname(path);
        rmdir(folder); /* only if that was the guest's last image */
    }
    return true;
}

/* clang-format off */
const StoragePlugin storage_dir = {
    .type = "dir",
    .activate = dir_activate,
    .status = dir_status,
    .list = dir_list,
    .path = dir_path,
    .stat = dir_stat,
    .reserve = dir_reserve,
    .make = dir_make,
    .free = dir_free,
    .room = dir_room,
};
/* clang-format on */
