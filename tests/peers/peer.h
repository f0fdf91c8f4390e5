/* What both peers need: settings files, the command line, and log lines. */
#ifndef PEER_H
#define PEER_H

#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MASTER_STATUS 3
#define CHILD_STATUS 4
#define FIRST_LISTENER 5

/* The separators of a `server-service` in a settings file. */
#define SEPARATORS ";, \t"

typedef struct {
    char *key, *value;
} setting_t;

typedef struct {
    setting_t items[128];
    int count;
} settings_t;

static const char *program_name = "";

__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    dprintf(2, "%s[%d] %s\n", program_name, (int)getpid(), text);
}

__attribute__((noreturn)) static inline void fail(const char *what)
{
    say("%s: %s", what, strerror(errno));
    exit(1);
}

static inline long now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static inline void set_setting(settings_t *settings, const char *key, const char *value)
{
    for (int i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].key, key) == 0) {
            settings->items[i].value = strdup(value);
            return;
        }
    }
    if (settings->count == 128) {
        say("too many settings");
        exit(1);
    }
    settings->items[settings->count].key = strdup(key);
    settings->items[settings->count++].value = strdup(value);
}

static inline const char *get_setting(const settings_t *settings, const char *key)
{
    for (int i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].key, key) == 0) {
            return settings->items[i].value;
        }
    }
    return "";
}

static inline char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1])) {
        *--end = 0;
    }
    return text;
}

static inline void load_settings(settings_t *settings, const char *path)
{
    char line[10240];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fail(path);
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        char *key = trim(line), *value = strchr(key, '=');
        if (*key == 0 || *key == '#') {
            continue;
        }
        if (value != NULL) {
            *value++ = 0;
        }
        set_setting(settings, trim(key), value == NULL ? "" : trim(value));
    }
    fclose(file);
}

/* `-name value`, `--flag`; files of `-config` at once, all else after them. */
static inline void parse_arguments(settings_t *settings, int argc, char **argv)
{
    settings_t given = {.count = 0};
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            set_setting(&given, argv[i] + 2, "yes");
        } else if (argv[i][0] == '-' && argv[i][1] != 0) {
            if (i + 1 == argc) {
                say("%s has no value", argv[i]);
                exit(1);
            }
            if (strcmp(argv[i], "-config") == 0) {
                load_settings(settings, argv[i + 1]);
            } else {
                set_setting(&given, argv[i] + 1, argv[i + 1]);
            }
            i++;
        }
    }
    for (int i = 0; i < given.count; i++) {
        set_setting(settings, given.items[i].key, given.items[i].value);
    }
}

#endif
