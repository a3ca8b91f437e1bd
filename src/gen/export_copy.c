/* export_copy.c - net.json, weights, certificate and vectors from one folder to another. */
#include "gen/export_copy.h"

#include <stdio.h>

#include "base/file.h"
#include "base/folder.h"
#include "inet/certificate.h"
#include "inet/inet_files.h"

static mq_status copy_if_there(const char *source, const char *dir, const char *name, mq_error *error) {
    char from[MQ_PATH], to[MQ_PATH];
    MQ_TRY(mq_path_join(source, name, from, error));
    MQ_TRY(mq_path_join(dir, name, to, error));
    return mq_path_exists(from) ? mq_file_copy(from, to, error) : MQ_OK;
}

mq_status mq_export_copy(const char *source, const mq_inet *net, const char *dir, mq_error *error) {
    char path[MQ_PATH], name[MQ_INET_MAX_NAME + 24];
    MQ_TRY(copy_if_there(source, dir, MQ_INET_NET_FILE, error));
    MQ_TRY(copy_if_there(source, dir, MQ_INET_WEIGHTS_FILE, error));
    MQ_TRY(copy_if_there(source, dir, MQ_CERTIFICATE_FILE, error));
    MQ_TRY(mq_path_join(source, "vectors/images.npy", path, error));
    if (!mq_path_exists(path)) return MQ_OK;
    MQ_TRY(mq_path_join(dir, "vectors", path, error));
    MQ_TRY(mq_make_dirs(path, error));
    MQ_TRY(copy_if_there(source, dir, "vectors/images.npy", error));
    for (int i = 0; i < net->node_count; i++) {
        if (!net->nodes[i].dump[0]) continue;
        snprintf(name, sizeof name, "vectors/%s.npy", net->nodes[i].dump);
        MQ_TRY(copy_if_there(source, dir, name, error));
    }
    return MQ_OK;
}
