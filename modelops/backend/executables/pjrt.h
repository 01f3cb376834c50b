// What of PJRT's C API (pjrt_c_api.h, version 0) is used here, as its fields lie. The
// table's functions keep their places, and structs only ever grow at their end.

#ifndef DIFFSTITCH_PJRT_H
#define DIFFSTITCH_PJRT_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  size_t struct_size;
  void* extensions;
  size_t version_size;
  void* version_extensions;
  int major, minor;
  void* functions[57];
} table;

// Places in the table.
enum {
  ERROR_DESTROY = 0,
  CLIENT_PLATFORM_VERSION = 14,
  CLIENT_ADDRESSABLE_DEVICES = 16,
  CLIENT_COMPILE = 20,
  DESCRIPTION_KIND = 26,
  DEVICE_DESCRIPTION = 29,
  EXECUTABLE_DESTROY = 40,
  EXECUTABLE_SERIALIZE = 49,
  LOADED_EXECUTABLE = 51,
  DESERIALIZE_AND_LOAD = 56,
};

typedef struct {
  size_t struct_size;
  void* extensions;
  const char* code;
  size_t code_size;
  const char* format;
  size_t format_size;
} program;

typedef struct {
  size_t struct_size;
  void* extensions;
  void* client;
  const program* program;
  const char* options;
  size_t options_size;
  void* executable;  // out
} compile_args;

typedef struct {
  size_t struct_size;
  void* extensions;
  void* client;
  const char* bytes;
  size_t size;
  void* executable;  // out
  const char* options;
  size_t options_size;
} load_args;

typedef struct {
  size_t struct_size;
  void* extensions;
  const void* executable;
  const char* bytes;  // out
  size_t size;        // out
  void* owner;        // out
  void (*release)(void* owner);  // out
} serialize_args;

// A question about one thing with one pointer for an answer, or none.
typedef struct {
  size_t struct_size;
  void* extensions;
  void* of;
  void* answer;
} single_args;

// A question about one thing with a text or a list for an answer.
typedef struct {
  size_t struct_size;
  void* extensions;
  void* of;
  const void* answer;
  size_t size;
} list_args;

// call calls the function at a place of a table. It gives the error, NULL for none.
static inline void* call(const table* t, int place, void* args) {
  return ((void* (*)(void*))t->functions[place])(args);
}

#endif
