"""What every room uses: options, files, reachability of hosts, versions. Knows nothing of images or metrics."""
