//go:build cgo && !noxla && linux

package executables

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "pjrt.h"

// diffstitch_compile is Go's: it does what Client_Compile does.
extern void* diffstitch_compile(compile_args* args);

// table_of finds the table of a plugin that is loaded.
static table* table_of(const char* path) {
  void* library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
  if (library == NULL) return NULL;
  table* (*get)(void) = (table* (*)(void))dlsym(library, "GetPjrtApi");
  return get == NULL ? NULL : get();
}

// divert puts diffstitch_compile in the place of Client_Compile, and gives what was there.
static void* divert(table* t) {
  void** place = &t->functions[CLIENT_COMPILE];
  void* before = *place;
  uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE), page = (uintptr_t)place & ~(size - 1);
  if (mprotect((void*)page, size, PROT_READ | PROT_WRITE) != 0) return NULL; // the table may be a constant
  *place = (void*)diffstitch_compile;
  return before;
}

static void* call_at(void* function, void* args) {
  return ((void* (*)(void*))function)(args);
}

static void release(serialize_args* args) {
  if (args->release != NULL) args->release(args->owner);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"
)

// plugin is the one whose executables are kept. A process opens one.
var plugin struct {
	mutex   sync.Mutex
	table   *C.table
	compile unsafe.Pointer // what the table had
	here    []byte         // tells the plugin from others, and the processor
	store   store
}

// Keep has the executables of a plugin that is loaded, PJRT's shared library at the path,
// kept in a folder of this user's.
func Keep(path, dir string) error {
	plugin.mutex.Lock()
	defer plugin.mutex.Unlock()
	if plugin.table != nil {
		return errors.New("executables: a plugin's are kept already")
	}
	file, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("executables: %w", err)
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	t := C.table_of(name)
	if t == nil || t.major != 0 || uintptr(t.struct_size) < unsafe.Sizeof(*t) {
		return fmt.Errorf("executables: %s has no table of functions that is known here", path)
	}
	s, err := open(dir)
	if err != nil {
		return err
	}
	plugin.store, plugin.here = s, fmt.Append(processor(), path, file.Size(), file.ModTime().UnixNano(), t.minor)
	if plugin.compile = C.divert(t); plugin.compile == nil {
		return fmt.Errorf("executables: the functions of %s cannot be replaced", path)
	}
	plugin.table = t
	return nil
}

// diffstitch_compile loads what is kept, or compiles and keeps it. Where anything but the
// compiling fails it is as if nothing had been kept.
//
//export diffstitch_compile
func diffstitch_compile(args *C.compile_args) unsafe.Pointer {
	key := keyOf(args)
	if kept, err := plugin.store.read(key); err == nil && load(args, kept) {
		loaded.Add(1)
		return nil
	}
	compiled.Add(1)
	if err := C.call_at(plugin.compile, unsafe.Pointer(args)); err != nil {
		return err
	}
	if bytes := serialized(args.executable); bytes != nil {
		plugin.store.write(key, bytes)
	}
	return nil
}

// keyOf tells compilations apart: by the graph, how it is compiled, the plugin, the device.
func keyOf(args *C.compile_args) string {
	p := args.program
	return key(
		plugin.here, []byte(os.Getenv("XLA_FLAGS")),
		text(C.CLIENT_PLATFORM_VERSION, args.client), deviceKind(args.client),
		C.GoBytes(unsafe.Pointer(p.format), C.int(p.format_size)),
		C.GoBytes(unsafe.Pointer(args.options), C.int(args.options_size)),
		unsafe.Slice((*byte)(unsafe.Pointer(p.code)), int(p.code_size)),
	)
}

// deviceKind is the kind of the client's devices, which are alike.
func deviceKind(client unsafe.Pointer) []byte {
	devices, count := list(C.CLIENT_ADDRESSABLE_DEVICES, client)
	if count == 0 {
		return nil
	}
	return text(C.DESCRIPTION_KIND, single(C.DEVICE_DESCRIPTION, *(*unsafe.Pointer)(devices)))
}

// load makes an executable of what was kept.
func load(args *C.compile_args, kept []byte) bool {
	bytes := C.CBytes(kept)
	defer C.free(bytes)
	var in C.load_args
	in.struct_size, in.client = C.size_t(unsafe.Sizeof(in)), args.client
	in.bytes, in.size = (*C.char)(bytes), C.size_t(len(kept))
	if !ask(C.DESERIALIZE_AND_LOAD, unsafe.Pointer(&in)) {
		return false
	}
	args.executable = in.executable
	return true
}

// serialized is an executable's code, nil where the plugin does not give it.
func serialized(executable unsafe.Pointer) (code []byte) {
	inner := single(C.LOADED_EXECUTABLE, executable)
	if inner == nil {
		return nil
	}
	defer single(C.EXECUTABLE_DESTROY, inner)
	var out C.serialize_args
	out.struct_size, out.executable = C.size_t(unsafe.Sizeof(out)), inner
	if !ask(C.EXECUTABLE_SERIALIZE, unsafe.Pointer(&out)) {
		return nil
	}
	defer C.release(&out)
	return C.GoBytes(unsafe.Pointer(out.bytes), C.int(out.size))
}

// single asks about one thing for another.
func single(place C.int, of unsafe.Pointer) unsafe.Pointer {
	var q C.single_args
	q.struct_size, q.of = C.size_t(unsafe.Sizeof(q)), of
	if of == nil || !ask(place, unsafe.Pointer(&q)) {
		return nil
	}
	return q.answer
}

// list asks about one thing for several.
func list(place C.int, of unsafe.Pointer) (answer unsafe.Pointer, size C.size_t) {
	var q C.list_args
	q.struct_size, q.of = C.size_t(unsafe.Sizeof(q)), of
	if of == nil || !ask(place, unsafe.Pointer(&q)) {
		return nil, 0
	}
	return q.answer, q.size
}

// text asks about one thing for a text.
func text(place C.int, of unsafe.Pointer) []byte {
	answer, size := list(place, of)
	return C.GoBytes(answer, C.int(size))
}

// ask calls a function of the plugin, and says whether it did what it should.
func ask(place C.int, args unsafe.Pointer) bool {
	err := C.call(plugin.table, place, args)
	if err == nil {
		return true
	}
	var q C.single_args
	q.struct_size, q.of = C.size_t(unsafe.Sizeof(q)), err
	C.call(plugin.table, C.ERROR_DESTROY, unsafe.Pointer(&q)) // which gives no error
	return false
}
