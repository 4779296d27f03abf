"""What the integration tests are built from: clusters, programs, independent protocol clients."""
