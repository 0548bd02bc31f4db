/* See frontend/data_file.h. */
#include "frontend/data_file.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another name of the file may lie anywhere, so containment says nothing about what is in it. */
static enum status check_links(int fd, struct imported_model *model, const struct import_options *options,
                               struct str location, struct trace *trace)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_nlink <= 1)
        return OK;
    if (options->trust == IMPORT_UNTRUSTED)
        return status_fail(trace, INVALID,
                           "the data file '" STR_FORMAT "' of an untrusted model has %ju hard links",
                           STR_ARGUMENT(location), (uintmax_t)st.st_nlink);
    imported_model_note(model, "the data file '" STR_FORMAT "' has %ju hard links, so it has other names",
                        STR_ARGUMENT(location), (uintmax_t)st.st_nlink);
    return OK;
}

enum status data_file_map(const struct mapping **out, struct imported_model *model, const char *path,
                          struct str location, const struct import_options *options, struct trace *trace)
{
    int fd;
    TRY(file_open_contained(&fd, path, location, trace));
    enum status status = check_links(fd, model, options, location, trace);
    if (status != OK) {
        close(fd);
        return status;
    }
    struct mapping *mapping = ARENA_NEW(&model->arena, struct mapping);
    struct str name = {arena_copy_string(&model->arena, location.data, location.length), location.length};
    TRY(mapping_open_fd(mapping, fd, name.data, trace));
    *VEC_PUSH(&model->arena, &model->files) = mapping;
    *VEC_PUSH(&model->arena, &model->data_files) = name;
    *out = mapping;
    return OK;
}

enum status data_file_map_main(const struct mapping **out, struct imported_model *model, const char *path,
                               struct trace *trace)
{
    struct mapping *mapping = ARENA_NEW(&model->arena, struct mapping);
    TRY(mapping_open(mapping, path, trace));
    model->path = arena_copy_string(&model->arena, path, strlen(path));
    *VEC_PUSH(&model->arena, &model->files) = mapping;
    *out = mapping;
    return OK;
}

const char *imported_model_file_path(const struct imported_model *model, uint32_t i, struct arena *arena)
{
    if (i == 0)
        return model->path;
    const char *location = model->data_files.items[i - 1].data;
    char *path = path_beside(model->path, location), *real = NULL;
    if (!file_exists(path) && (real = realpath(model->path, NULL))) {
        free(path);
        path = path_beside(real, location);
    }
    const char *copy = arena_copy_string(arena, path, strlen(path));
    free(real);
    free(path);
    return copy;
}
