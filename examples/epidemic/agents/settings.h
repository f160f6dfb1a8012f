/* Whole numbers by name from a flat JSON object, which is how the manifest's `config` and inputs arrive. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "tickwork.h"

/* Finds `"name": NUMBER`; returns false if it is not there. */
static bool setting(tw_string json, const char *name, uint64_t *number) {
  tw_string wanted = tw_str(name);
  for (uint32_t at = 0; at + wanted.size + 2 < json.size; at++) {
    if (json.data[at] != '"' || json.data[at + 1 + wanted.size] != '"' ||
        !tw_equal(tw_bytes(json.data + at + 1, wanted.size), wanted))
      continue;
    uint32_t from = at + wanted.size + 2;
    while (from < json.size && (json.data[from] == ':' || json.data[from] == ' ')) from++;
    uint32_t to = from;
    while (to < json.size && json.data[to] >= '0' && json.data[to] <= '9') to++;
    return to > from && tw_parse_u64(tw_bytes(json.data + from, to - from), number);
  }
  return false;
}

/* The id PREFIXnumber, valid until the turn ends. */
static tw_string numbered(const char *prefix, uint64_t number) {
  tw_builder id = {0};
  tw_add_text(&id, prefix);
  tw_add_u64(&id, number);
  return tw_built(&id);
}

#endif
