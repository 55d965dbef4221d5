"""Any no-reference metric of pyiqa: scoring many images, telling metrics apart, and why one cannot run."""
