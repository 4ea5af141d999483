"""Alert rules as code, one module a hop. What a hop is watched for stands here as data."""
