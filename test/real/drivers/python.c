/* The Python interpreter, static. The decimal module needs _contextvars, which Debian's static library lacks: it is three types and one function of the core. */
#include <Python.h>

static PyObject *copy_context(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyContext_CopyCurrent();
}
static PyMethodDef methods[] = {{"copy_context", copy_context, METH_NOARGS, 0}, {0, 0, 0, 0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_contextvars", 0, 0, methods, 0, 0, 0, 0};

static PyObject *create(void) {
    PyObject *module = PyModule_Create(&definition);
    PyModule_AddObjectRef(module, "Context", (PyObject *)&PyContext_Type);
    PyModule_AddObjectRef(module, "ContextVar", (PyObject *)&PyContextVar_Type);
    PyModule_AddObjectRef(module, "Token", (PyObject *)&PyContextToken_Type);
    return module;
}

int main(int argc, char **argv) {
    PyImport_AppendInittab("_contextvars", create);
    return Py_BytesMain(argc, argv);
}
