"""Images with boxes of objects in them: what SSD's AnnotatedData does to both."""
