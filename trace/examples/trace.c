/* squall-trace/1 in C: say what happened, then flush before anything leaves this node. */
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static FILE *file; /* NULL unless squall asks for a trace */
static unsigned long long seq;

static void trace_open(char *path) {
    if (!path || !(file = fopen(path, "w"))) return;
    setvbuf(file, NULL, _IOFBF, 1 << 20); /* one write(2) a flush */
    char *node = basename(path), *end = strstr(node, ".jsonl");
    *end = 0;
    char *boot = strrchr(node, '.');
    *boot++ = 0;
    fprintf(file, "{\"squall\":\"trace/1\",\"node\":\"%s\",\"boot\":%s,\"write\":\"through\"}\n", node, boot);
}

/* say("durable", "\"upto\":%d", 7): the event, and its further fields as JSON. */
static void say(const char *event, const char *fields, ...) {
    struct timespec now;
    va_list values;
    if (!file) return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    fprintf(file, "{\"seq\":%llu,\"time\":%lld,\"event\":\"%s\",", seq++,
            now.tv_sec * 1000000000LL + now.tv_nsec, event);
    va_start(values, fields);
    vfprintf(file, fields, values);
    va_end(values);
    fputs("}\n", file);
}

static void flush(void) {
    if (file && fflush(file)) abort();
}

int main(void) {
    trace_open(getenv("SQUALL_TRACE"));
    say("boot", "\"term\":0,\"config\":{\"voters\":[\"n1\",\"n2\",\"n3\"]}");
    say("become_leader", "\"term\":1,\"last\":{\"index\":0,\"term\":0}");
    say("append", "\"index\":1,\"term\":1,\"prev_term\":0,\"hashes\":[\"%s\"]", "af63bd4c8601b7df");
    flush();
    say("durable", "\"upto\":%d", 1);
    flush();
}
