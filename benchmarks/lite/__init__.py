"""How maagiqa-lite is made from trainings of its trunk: versions of images, experts, read-out."""
