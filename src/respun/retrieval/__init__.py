"""File search as a library: bytes become text, text becomes windows, windows become an index that is searched.

Nothing here knows the store or HTTP. Rows are the caller's; an index is derived from them and may be thrown away.
Modules that need numpy, onnxruntime or tantivy import them at their top, so import this package when it is used.
"""
