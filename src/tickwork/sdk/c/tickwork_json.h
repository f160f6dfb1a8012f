/* Read flat JSON objects and write JSON strings, for agents whose message bodies are JSON.
 *
 * A getter answers false unless `object` is an object with that key and a value of that type. Where a key
 * stands twice the last one counts, as in Python and JavaScript. A nested value is skipped by its brackets
 * and strings; it can be read with `tw_json_value` and then in the same way. Results live until the turn ends.
 */
#ifndef TICKWORK_JSON_H
#define TICKWORK_JSON_H

#include "tickwork.h"

/* A place in a text; `at` is null once the text was found to be malformed. */
typedef struct tw_json_cursor {
  const char *at;
  const char *end;
} tw_json_cursor;

static inline void tw_json_space(tw_json_cursor *in) {
  while (in->at != in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t')) in->at++;
}

/* Steps over `byte` if it comes next. */
static inline bool tw_json_take(tw_json_cursor *in, char byte) {
  if (!in->at || in->at == in->end || *in->at != byte) return false;
  in->at++;
  return true;
}

/* Steps over a string, from quote to quote. */
static inline void tw_json_skip_string(tw_json_cursor *in) {
  if (!tw_json_take(in, '"')) {
    in->at = NULL;
    return;
  }
  while (in->at != in->end) {
    unsigned char byte = (unsigned char)*in->at++;
    if (byte == '"') return;
    if (byte < 0x20) break;
    if (byte == '\\' && in->at != in->end) in->at++;
  }
  in->at = NULL;
}

static inline bool tw_json_is_scalar(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || byte == '-' || byte == '+' ||
         byte == '.' || byte == 'E';
}

/* Steps over any value. */
static inline void tw_json_skip(tw_json_cursor *in) {
  uint32_t depth = 0;
  do {
    if (!in->at || in->at == in->end) {
      in->at = NULL;
      return;
    }
    char byte = *in->at;
    if (byte == '"') {
      tw_json_skip_string(in);
    } else if (byte == '{' || byte == '[') {
      depth++;
      in->at++;
    } else if (depth && (byte == '}' || byte == ']')) {
      depth--;
      in->at++;
    } else if (tw_json_is_scalar(byte)) {
      while (in->at != in->end && tw_json_is_scalar(*in->at)) in->at++;
    } else if (depth && (byte == ',' || byte == ':' || byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t')) {
      in->at++;
    } else {
      in->at = NULL;
    }
  } while (depth);
}

static inline bool tw_json_hex(const char *at, const char *end, uint32_t *unit) {
  if (end - at < 4) return false;
  *unit = 0;
  for (int i = 0; i < 4; i++) {
    char c = at[i];
    uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                            : 16;
    if (digit == 16) return false;
    *unit = *unit * 16 + digit;
  }
  return true;
}

static inline void tw_add_utf8(tw_builder *to, uint32_t point) {
  if (point < 0x80) {
    tw_add_byte(to, (char)point);
  } else if (point < 0x800) {
    tw_add_byte(to, (char)(0xC0 | point >> 6));
    tw_add_byte(to, (char)(0x80 | (point & 0x3F)));
  } else if (point < 0x10000) {
    tw_add_byte(to, (char)(0xE0 | point >> 12));
    tw_add_byte(to, (char)(0x80 | (point >> 6 & 0x3F)));
    tw_add_byte(to, (char)(0x80 | (point & 0x3F)));
  } else {
    tw_add_byte(to, (char)(0xF0 | point >> 18));
    tw_add_byte(to, (char)(0x80 | (point >> 12 & 0x3F)));
    tw_add_byte(to, (char)(0x80 | (point >> 6 & 0x3F)));
    tw_add_byte(to, (char)(0x80 | (point & 0x3F)));
  }
}

/* Reads the four digits after `\u`, and a second escape if the first is half of a pair. Half a pair alone has
 * no UTF-8; it becomes U+FFFD. */
static inline bool tw_json_unicode(const char **at, const char *end, tw_builder *to) {
  uint32_t point, low;
  if (!tw_json_hex(*at, end, &point)) return false;
  *at += 4;
  if (point >= 0xD800 && point < 0xDC00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' &&
      tw_json_hex(*at + 2, end, &low) && low >= 0xDC00 && low < 0xE000) {
    point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    *at += 6;
  }
  tw_add_utf8(to, point >= 0xD800 && point < 0xE000 ? 0xFFFD : point);
  return true;
}

/* What the string `raw`, with its quotes, stands for. */
static inline bool tw_json_unquote(tw_string raw, tw_string *text) {
  const char *at = raw.data + 1, *end = raw.data + raw.size - 1;
  const char *plain = at;
  while (plain != end && *plain != '\\') plain++;
  if (plain == end) {
    *text = tw_bytes(at, (uint32_t)(end - at));
    return true;
  }
  tw_builder built = {0, 0, 0};
  while (at != end) {
    if (*at != '\\') {
      tw_add_byte(&built, *at++);
      continue;
    }
    at++;
    char escape = *at++;
    switch (escape) {
      case '"': case '\\': case '/': tw_add_byte(&built, escape); break;
      case 'b': tw_add_byte(&built, '\b'); break;
      case 'f': tw_add_byte(&built, '\f'); break;
      case 'n': tw_add_byte(&built, '\n'); break;
      case 'r': tw_add_byte(&built, '\r'); break;
      case 't': tw_add_byte(&built, '\t'); break;
      case 'u':
        if (!tw_json_unicode(&at, end, &built)) return false;
        break;
      default: return false;
    }
  }
  *text = tw_built(&built);
  return true;
}

/* The text of the value of `key`, as it stands. */
static inline bool tw_json_value(tw_string object, const char *key, tw_string *value) {
  tw_json_cursor in = {object.data, object.data + object.size};
  bool found = false;
  tw_json_space(&in);
  if (!tw_json_take(&in, '{')) return false;
  tw_json_space(&in);
  if (!tw_json_take(&in, '}')) {
    do {
      tw_json_space(&in);
      const char *start = in.at;
      tw_json_skip_string(&in);
      tw_string name;
      if (!in.at || !tw_json_unquote(tw_bytes(start, (uint32_t)(in.at - start)), &name)) return false;
      tw_json_space(&in);
      if (!tw_json_take(&in, ':')) return false;
      tw_json_space(&in);
      start = in.at;
      tw_json_skip(&in);
      if (!in.at) return false;
      if (tw_is(name, key)) {
        *value = tw_bytes(start, (uint32_t)(in.at - start));
        found = true;
      }
      tw_json_space(&in);
    } while (tw_json_take(&in, ','));
    if (!tw_json_take(&in, '}')) return false;
  }
  tw_json_space(&in);
  return found && in.at == in.end;
}

/* The text of the first element of `array`, as it stands. */
static inline bool tw_json_first(tw_string array, tw_string *value) {
  tw_json_cursor in = {array.data, array.data + array.size};
  tw_json_space(&in);
  if (!tw_json_take(&in, '[')) return false;
  tw_json_space(&in);
  const char *start = in.at;
  tw_json_skip(&in);
  if (!in.at) return false;
  *value = tw_bytes(start, (uint32_t)(in.at - start));
  return true;
}

static inline bool tw_json_string(tw_string object, const char *key, tw_string *text) {
  tw_string raw;
  return tw_json_value(object, key, &raw) && raw.data[0] == '"' && tw_json_unquote(raw, text);
}

/* An integer without fraction or exponent, within 64 bits. */
static inline bool tw_json_i64(tw_string object, const char *key, int64_t *number) {
  tw_string raw;
  if (!tw_json_value(object, key, &raw)) return false;
  uint32_t sign = raw.data[0] == '-';
  if (raw.size > sign + 1 && raw.data[sign] == '0') return false;
  return tw_parse_i64(raw, number);
}

static inline bool tw_json_bool(tw_string object, const char *key, bool *value) {
  tw_string raw;
  if (!tw_json_value(object, key, &raw)) return false;
  *value = tw_is(raw, "true");
  return *value || tw_is(raw, "false");
}

/* Adds `text` as a JSON string, quotes included. */
static inline void tw_add_json(tw_builder *to, tw_string text) {
  static const char hex[] = "0123456789abcdef";
  tw_add_byte(to, '"');
  for (uint32_t i = 0; i < text.size; i++) {
    unsigned char byte = (unsigned char)text.data[i];
    if (byte == '"' || byte == '\\') {
      tw_add_byte(to, '\\');
      tw_add_byte(to, (char)byte);
    } else if (byte < 0x20) {
      tw_add_text(to, "\\u00");
      tw_add_byte(to, hex[byte >> 4]);
      tw_add_byte(to, hex[byte & 15]);
    } else {
      tw_add_byte(to, (char)byte);
    }
  }
  tw_add_byte(to, '"');
}

#endif
