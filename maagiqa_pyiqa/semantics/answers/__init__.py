"""What a large model answered, kept on disk, and its words as semantic features."""
