def write(r,o):
    import json; o.mkdir(parents=True,exist_ok=True); (o/"results.json").write_text(json.dumps(r,indent=1))
