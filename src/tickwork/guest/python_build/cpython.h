/* What turn.c uses of CPython's stable ABI: functions and structs that no 3.x may change.
 *
 * Declared here because a machine that builds the guest need not have the headers of a CPython for wasm32. */
#ifndef TICKWORK_CPYTHON_H
#define TICKWORK_CPYTHON_H

#include <stddef.h>
#include <stdint.h>

typedef struct _object PyObject;
typedef struct _typeobject PyTypeObject;
typedef ptrdiff_t Py_ssize_t;
typedef PyObject *(*PyCFunction)(PyObject *self, PyObject *arguments);
typedef PyObject *(*newfunc)(PyTypeObject *type, PyObject *arguments, PyObject *keywords);

typedef struct PyMethodDef {
    const char *name;
    PyCFunction function;
    int flags;
    const char *doc;
} PyMethodDef;

typedef struct PyModuleDef {
    struct {
        Py_ssize_t references;
        PyTypeObject *type;
        PyObject *(*init)(void);
        Py_ssize_t index;
        PyObject *copy;
    } base;
    const char *name;
    const char *doc;
    Py_ssize_t size;
    PyMethodDef *methods;
    void *slots;
    void *traverse;
    void *clear;
    void *free;
} PyModuleDef;

typedef struct PyMemAllocatorEx {
    void *context;
    void *(*malloc)(void *context, size_t size);
    void *(*calloc)(void *context, size_t count, size_t size);
    void *(*realloc)(void *context, void *block, size_t size);
    void (*free)(void *context, void *block);
} PyMemAllocatorEx;

#define PYMEM_DOMAIN_MEM 1
#define PYMEM_DOMAIN_OBJ 2
#define METH_VARARGS 1
#define METH_NOARGS 4
#define PYTHON_ABI_VERSION 3
#define Py_tp_new 65
#define PY_VECTORCALL_ARGUMENTS_OFFSET ((size_t)1 << (8 * sizeof(size_t) - 1))

extern char _Py_NoneStruct[];
#define Py_None ((PyObject *)_Py_NoneStruct)

/* Not of the stable ABI, but unchanged since they came with 3.4 and 3.5. */
void PyMem_GetAllocator(int domain, PyMemAllocatorEx *allocator);
void PyMem_SetAllocator(int domain, PyMemAllocatorEx *allocator);

int PyGILState_Ensure(void);

void Py_IncRef(PyObject *object);
void Py_DecRef(PyObject *object);
PyTypeObject *Py_TYPE(PyObject *object);
PyObject *PyObject_GetAttr(PyObject *object, PyObject *name);
PyObject *PyObject_Str(PyObject *object);
PyObject *PyObject_Vectorcall(PyObject *callable, PyObject *const *arguments, size_t count, PyObject *names);
void *PyType_GetSlot(PyTypeObject *type, int slot);

PyObject *PyErr_Occurred(void);
void PyErr_Clear(void);
PyObject *PyErr_GetRaisedException(void);

PyObject *PyTuple_New(Py_ssize_t size);
int PyTuple_SetItem(PyObject *tuple, Py_ssize_t place, PyObject *item);
PyObject *PyTuple_GetItem(PyObject *tuple, Py_ssize_t place);
PyObject *PyList_New(Py_ssize_t size);
int PyList_SetItem(PyObject *list, Py_ssize_t place, PyObject *item);
Py_ssize_t PyList_Size(PyObject *list);
PyObject *PyList_GetItem(PyObject *list, Py_ssize_t place);
PyObject *PyLong_FromUnsignedLongLong(unsigned long long value);
unsigned long long PyLong_AsUnsignedLongLong(PyObject *number);
double PyFloat_AsDouble(PyObject *number);
PyObject *PyUnicode_FromStringAndSize(const char *bytes, Py_ssize_t size);
PyObject *PyUnicode_InternFromString(const char *text);
const char *PyUnicode_AsUTF8AndSize(PyObject *text, Py_ssize_t *size);
PyObject *PyBytes_FromStringAndSize(const char *bytes, Py_ssize_t size);
int PyBytes_AsStringAndSize(PyObject *bytes, char **content, Py_ssize_t *size);

int PyArg_ParseTuple(PyObject *arguments, const char *format, ...);
PyObject *PyModule_Create2(PyModuleDef *definition, int version);

/* Of libc. */
void *realloc(void *block, size_t size);

#endif
